// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/chat_loop.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/signals.h"
#include "cli/common/terminal_text.h"
#include "core/error.h"

namespace tercet::cli {
namespace {

constexpr const char* kHelp =
    "/help           this list\n"
    "/exit           leave (Ctrl-D too)\n"
    "/clear          forget the conversation, keep the system message\n"
    "/system TEXT    set the system message; without TEXT remove it\n"
    "/regen          give the last answer again, by other random choices\n"
    "/undo           take back the last question and its answer\n"
    "/save FILE      write the conversation as JSON      /load FILE   read one\n"
    "/stats          figures of the last answer\n"
    "/temp X         set the temperature                 /seed N      set the seed\n"
    "A line that ends with a backslash goes on in the next one; between \"\"\" and \"\"\" stand\n"
    "several lines; //text says \"/text\". Ctrl-C stops an answer.";

// The number that all of `text` is.
template <typename Number>
Number parse_number(const char* command, const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != end) {
    fail(ErrorCode::kUsage, "{} needs a number, not '{}'", command, terminal_text(text));
  }
  return value;
}

const std::string& require_argument(const char* command, const std::string& argument) {
  if (argument.empty()) fail(ErrorCode::kUsage, "{} needs the name of a file", command);
  return argument;
}

}  // namespace

ChatLoop::ChatLoop(ChatSession& session, LineReader& reader, ChatLoopOptions options)
    : session_(session), reader_(reader), options_(std::move(options)), style_(stdout_style()) {}

void ChatLoop::note(const std::string& text) const {
  if (!options_.quiet) write_error_output(terminal_text(text) + "\n");
}

void ChatLoop::run() {
  survive_interrupts();
  if (options_.first_message) {
    say(*options_.first_message);
    if (options_.single) return;
  }
  while (true) {
    ReadResult message = read_message(reader_);
    if (termination_requested()) fail(ErrorCode::kInterrupted, "terminated");
    if (message.kind == ReadResult::Kind::kInterrupted) {
      handle_interrupt();
      continue;
    }
    interrupted_before_ = false;
    if (message.kind == ReadResult::Kind::kEnd) break;
    try {
      if (handle(message.text) == Next::kLeave) return;
      if (options_.single && last_) return;
    } catch (const Error& error) {
      const bool goes_on = reader_.interactive() && error.code() != ErrorCode::kInterrupted &&
                           error.code() != ErrorCode::kInternal;
      if (!goes_on) throw;
      write_error_output("error: " + terminal_text(error.what()) + "\n");
    }
  }
  if (reader_.interactive()) write_error_output("\n");
}

void ChatLoop::handle_interrupt() {
  if (!reader_.interactive() || interrupted_before_) fail(ErrorCode::kInterrupted, "interrupted");
  interrupted_before_ = true;
  note("(Ctrl-C again leaves, as Ctrl-D and /exit do)");
}

ChatLoop::Next ChatLoop::handle(const std::string& message) {
  if (message.starts_with("//")) {
    say(message.substr(1));
  } else if (message.starts_with('/')) {
    return handle_command(message);
  } else if (message.find_first_not_of(" \t\n") != std::string::npos) {
    say(message);
  }
  return Next::kGoOn;
}

ChatLoop::Next ChatLoop::handle_command(const std::string& line) {
  const size_t end = line.find_first_of(" \t\n");
  const std::string command = line.substr(0, end);
  const size_t begin = line.find_first_not_of(" \t\n", std::min(end, line.size()));
  const std::string argument = begin == std::string::npos ? "" : line.substr(begin);
  if (command == "/exit" || command == "/quit") return Next::kLeave;
  if (command == "/help" || command == "/?") {
    write_error_output(std::string(kHelp) + "\n");
  } else if (command == "/clear") {
    conversation_.clear();
    note("(the conversation is empty)");
  } else if (command == "/system") {
    conversation_.set_system(argument);
    note(argument.empty() ? "(no system message)" : "(the system message is set)");
  } else if (command == "/regen") {
    regenerate();
  } else if (command == "/undo") {
    if (!conversation_.undo()) fail(ErrorCode::kUsage, "/undo: nothing was asked yet");
    note(fmt::format("(took back the last question; {} messages are left)", conversation_.turns()));
  } else if (command == "/save") {
    conversation_.save(require_argument("/save", argument));
    note(fmt::format("(saved to {})", argument));
  } else if (command == "/load") {
    conversation_.load(require_argument("/load", argument));
    note(fmt::format("(loaded {} messages)", conversation_.messages().size()));
  } else if (command == "/stats") {
    print_stats();
  } else if (command == "/temp") {
    set_temperature(argument);
  } else if (command == "/seed") {
    set_seed(argument);
  } else {
    fail(ErrorCode::kUsage,
         "there is no command '{}'; /help lists them, and // says a line that "
         "begins with a slash",
         terminal_text(command));
  }
  return Next::kGoOn;
}

void ChatLoop::set_temperature(const std::string& argument) {
  SamplerOptions sampler = session_.generation().sampler;
  sampler.temperature = parse_number<double>("/temp", argument);
  sampler.validate();
  session_.generation().sampler = sampler;
  note(fmt::format("(temperature {})", sampler.temperature));
}

void ChatLoop::set_seed(const std::string& argument) {
  session_.set_seed(parse_number<uint32_t>("/seed", argument));
  note(fmt::format("(seed {})", argument));
}

void ChatLoop::say(const std::string& message) {
  const Conversation before = conversation_;
  conversation_.add("user", message);
  try {
    answer();
  } catch (...) {
    conversation_ = before;
    throw;
  }
}

void ChatLoop::regenerate() {
  const Conversation before = conversation_;
  if (!conversation_.drop_answer()) fail(ErrorCode::kUsage, "/regen: there is no answer yet");
  try {
    answer();
  } catch (...) {
    conversation_ = before;
    throw;
  }
}

// The prompt, shortened by the oldest turns when that was asked for.
std::vector<int32_t> ChatLoop::fitting_prompt() {
  std::vector<int32_t> prompt = session_.prompt(conversation_);
  size_t dropped = 0;
  while (options_.drop_oldest && !session_.fits(prompt) && conversation_.drop_oldest()) {
    ++dropped;
    prompt = session_.prompt(conversation_);
  }
  if (dropped > 0) {
    note(fmt::format("(the context is full: the {} oldest question{} forgotten)", dropped,
                     dropped == 1 ? " is" : "s are"));
  }
  if (prompt.empty()) fail(ErrorCode::kBadInput, "the chat template gives an empty prompt");
  if (!session_.fits(prompt)) {
    fail(ErrorCode::kUsage,
         "the conversation has {} tokens and the context holds {}: /undo takes back the last "
         "question, /clear begins anew, -c N starts with a larger context, and --drop-oldest "
         "forgets the oldest questions",
         prompt.size(), session_.engine().context());
  }
  return prompt;
}

void ChatLoop::print_piece(std::string_view piece) {
  if (options_.json) return;
  std::string text = style_.interactive ? terminal_text(piece) : std::string(piece);
  if (style_.colour) {
    // What a model thinks aloud is dim. The tags are tokens of their own, so a piece holds them
    // whole.
    if (piece.find("<think>") != std::string_view::npos) text = "\x1b[2m" + text;
    if (piece.find("</think>") != std::string_view::npos) text += "\x1b[22m";
  }
  write_output(text);
  flush_output();
}

void ChatLoop::answer() {
  const std::vector<int32_t> prompt = fitting_prompt();
  if (options_.show_prompt) {
    write_error_output(terminal_text(session_.prompt_text(conversation_)) +
                       fmt::format("\n[{} tokens]\n", prompt.size()));
  }
  take_stop_request();
  last_ = session_.answer(prompt, [&](std::string_view piece) { print_piece(piece); });
  take_stop_request();
  if (options_.json) {
    print_answer_json(*last_);
  } else {
    write_output(style_.colour ? "\x1b[0m\n" : "\n");
    flush_output();
  }
  tell_stop_reason(*last_);
  const bool nothing = last_->text.empty() && last_->stats.reason == StopReason::kInterrupted;
  if (nothing) {
    conversation_.undo();
  } else {
    conversation_.add("assistant", last_->text);
  }
  if (termination_requested() ||
      (last_->stats.reason == StopReason::kInterrupted && !reader_.interactive())) {
    fail(ErrorCode::kInterrupted, "interrupted after {} tokens", last_->stats.generated_tokens);
  }
}

void ChatLoop::tell_stop_reason(const Answer& answer) {
  if (answer.stats.reason == StopReason::kInterrupted) {
    note("(stopped)");
  } else if (answer.context_full) {
    note(
        fmt::format("(the answer ends here: the context of {} tokens is full; /undo, /clear, or "
                    "start with a larger -c)",
                    session_.engine().context()));
  } else if (answer.stats.reason == StopReason::kMaxTokens) {
    note(fmt::format("(the answer ends here: -n {})", answer.stats.generated_tokens));
  }
}

void ChatLoop::print_answer_json(const Answer& answer) const {
  const GenerateStats& stats = answer.stats;
  const Json line = {
      {"role", "assistant"},
      {"content", answer.text},
      {"stop_reason", answer.context_full ? "context_full" : to_string(stats.reason)},
      {"prompt_tokens", stats.prompt_tokens},
      {"reused_tokens", stats.reused_tokens},
      {"generated_tokens", stats.generated_tokens},
      {"prompt_tokens_per_s", stats.prompt_tokens_per_s()},
      {"generated_tokens_per_s", stats.generated_tokens_per_s()},
      {"first_token_seconds", stats.first_token_seconds},
      {"context", session_.engine().context()},
      {"seed", answer.seed}};
  write_output(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  flush_output();
}

void ChatLoop::print_stats() const {
  if (!last_) fail(ErrorCode::kUsage, "/stats: there is no answer yet");
  const GenerateStats& stats = last_->stats;
  const Engine& engine = session_.engine();
  write_error_output(fmt::format(
      "prompt     {} tokens, {} of them reused, the others {:.1f}/s\n"
      "answer     {} tokens, {:.1f}/s, the first after {}; ended by {}\n"
      "context    {} of {} tokens, {} with scratch memory\n"
      "sampling   seed {}, {} kernels, {} thread{}\n",
      stats.prompt_tokens, stats.reused_tokens, stats.prompt_tokens_per_s(), stats.generated_tokens,
      stats.generated_tokens_per_s(), format_seconds(stats.first_token_seconds),
      last_->context_full ? "a full context" : to_string(stats.reason),
      stats.prompt_tokens + stats.generated_tokens, engine.context(),
      format_bytes(engine.working_bytes()), last_->seed, engine.isa(), engine.threads(),
      engine.threads() == 1 ? "" : "s"));
}

}  // namespace tercet::cli
