// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cli/chat/chat_loop.h"
#include "cli/commands.h"
#include "cli/common/output.h"
#include "cli/generation_options.h"
#include "cli/memory_check.h"
#include "cli/model_argument.h"
#include "core/error.h"
#include "core/file.h"
#include "tokenizer/builtin_templates.h"

namespace tercet::cli {
namespace {

constexpr size_t kMaxMessageBytes = size_t{16} << 20;
// Enough for a long talk without the memory that models made for 100,000 tokens would take.
constexpr int64_t kDefaultContext = 4096;

struct ChatArguments {
  ModelArguments common;
  GenerationArguments generation;
  std::string system;
  std::string chat_template;
  std::vector<std::string> variables;
  std::string message;
  std::string message_file;
  ChatLoopOptions loop;
};

ChatTemplate template_for(const ChatArguments& arguments, const Model& model) {
  if (!arguments.chat_template.empty()) {
    return ChatTemplate(named_chat_template(arguments.chat_template));
  }
  if (auto source = model.source().chat_template()) return ChatTemplate(std::move(*source));
  fail(ErrorCode::kUnsupported,
       "'{}' has no chat template, so it is perhaps not made for talking; --chat-template takes a "
       "file or one of: {}",
       model.path().string(), builtin_template_names());
}

// NAME=VALUE, where what is no JSON is a string.
jinja::Map template_variables(const std::vector<std::string>& assignments) {
  jinja::Map variables;
  for (const std::string& assignment : assignments) {
    const size_t sign = assignment.find('=');
    if (sign == 0 || sign == std::string::npos) {
      fail(ErrorCode::kUsage, "--template-var '{}' is not NAME=VALUE", assignment);
    }
    const std::string text = assignment.substr(sign + 1);
    nlohmann::ordered_json value = text;
    try {
      value = parse_json(text, "--template-var");
    } catch (const Error&) {
      // A plain string.
    }
    variables.set(assignment.substr(0, sign), jinja::from_json(value));
  }
  return variables;
}

std::optional<std::string> first_message(const ChatArguments& arguments) {
  if (!arguments.message_file.empty()) {
    std::string text = read_text_file(arguments.message_file, kMaxMessageBytes);
    if (text.ends_with('\n')) text.pop_back();
    return text;
  }
  if (!arguments.message.empty()) return arguments.message;
  return std::nullopt;
}

void chat(const ChatArguments& arguments) {
  arguments.generation.sampler.validate();
  const Model model =
      load_model(arguments.common.model, arguments.common.force,
                 arguments.generation.context.value_or(0), arguments.common.kv_type);
  const Tokenizer& tokenizer = tokenizer_of(model);
  const ChatTemplate chat = template_for(arguments, model);
  const int64_t longest = model.config().max_position_embeddings;
  const int64_t context = arguments.generation.context.value_or(std::min(longest, kDefaultContext));
  if (!arguments.common.force) check_memory_for_context(model, context, arguments.common.kv_type);
  Engine engine(model, chosen_kernels(),
                {.threads = arguments.common.thread_count(),
                 .context = context,
                 .kv_type = arguments.common.kv_type,
                 .head = arguments.generation.head.precision(model)});
  ChatSession session(
      engine, tokenizer, chat,
      arguments.generation.options(model, arguments.generation.max_tokens.value_or(0)),
      template_variables(arguments.variables));

  ChatLoopOptions options = arguments.loop;
  options.json = arguments.common.json;
  options.first_message = first_message(arguments);
  const std::unique_ptr<LineReader> reader = make_line_reader();
  if (reader->interactive() && !options.quiet) {
    write_error_output(fmt::format("{}: context {} tokens, {} threads. /help lists the commands.\n",
                                   model.source().display_name(), engine.context(),
                                   engine.threads()));
  }
  ChatLoop loop(session, *reader, std::move(options));
  loop.conversation().set_system(arguments.system);
  loop.run();
}

}  // namespace

void add_chat(CLI::App& app) {
  CLI::App* command = app.add_subcommand("chat", "Talk with a model");
  auto arguments = std::make_shared<ChatArguments>();
  arguments->common.add_to(*command);
  command->add_option("--system", arguments->system, "System message: who the model is to be");
  CLI::Option* message =
      command->add_option("-p,--prompt", arguments->message, "First message, before those typed");
  command->add_option("-f,--file", arguments->message_file, "Read the first message from a file")
      ->excludes(message);
  command->add_flag("--single", arguments->loop.single, "End behind the first answer");
  command->add_option(
      "--chat-template", arguments->chat_template,
      "Template instead of the model's: a file or one of " + builtin_template_names());
  command->add_option("--template-var", arguments->variables,
                      "NAME=VALUE for the template, e.g. enable_thinking=false");
  command->add_flag("--show-prompt", arguments->loop.show_prompt,
                    "Print what the model is given on stderr");
  command->add_flag("--drop-oldest", arguments->loop.drop_oldest,
                    "Forget the oldest questions when the context is full");
  arguments->generation.add_to(
      *command, "At most this many tokens per answer (default: what the context leaves)",
      "Context in tokens, the whole conversation together (default: 4096, or the model's)");
  command->add_flag("-q,--quiet", arguments->loop.quiet, "No notes on stderr");
  command->footer(
      "Answers go to stdout, one JSON line each with --json; notes go to stderr.\n\n"
      "Example:\n  tercet chat model.gguf --system \"Answer in one sentence.\"\n"
      "  echo \"Why is the sky blue?\" | tercet chat model.gguf --temp 0 --json");
  command->callback([arguments] { chat(*arguments); });
}

}  // namespace tercet::cli
