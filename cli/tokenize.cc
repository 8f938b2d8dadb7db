// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/common/output.h"
#include "core/error.h"
#include "core/file.h"
#include "formats/gguf.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace tercet::cli {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;

struct TokenizeArguments {
  std::string model;
  std::optional<std::string> text;
  std::optional<std::string> file;
  bool prompt = false;
  bool special = false;
  bool decode = false;
  bool lines = false;
  bool ids_only = false;
  bool json = false;
  int time_rounds = 0;
};

using Ids = std::vector<int32_t>;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// From a GGUF file, an HF directory or a tokenizer's file; no weights are read.
Tokenizer load_tokenizer(const std::filesystem::path& path) {
  if (path.extension() == ".gguf") return Tokenizer::from_gguf(GgufFile(path));
  return Tokenizer::load(path);
}

std::string read_input(const TokenizeArguments& arguments) {
  if (arguments.text) return *arguments.text;
  if (arguments.file) return read_text_file(*arguments.file, kMaxTextBytes);
  return read_standard_input(kMaxTextBytes);
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

Ids encode(const Tokenizer& tokenizer, const TokenizeArguments& arguments, std::string_view text) {
  if (arguments.special) return tokenizer.encode_with_special(text);
  return arguments.prompt ? tokenizer.encode_prompt(text) : tokenizer.encode(text);
}

// With broken bytes as U+FFFD.
std::string decode(const Tokenizer& tokenizer, const Ids& ids) {
  StreamDecoder decoder(tokenizer, true);
  std::string text;
  for (const int32_t id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

// Ids separated by white space or commas, in brackets or not.
Ids parse_ids(std::string_view text) {
  Ids ids;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n,[]"), text.size()));
    if (text.empty()) return ids;
    int32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc()) {
      fail(ErrorCode::kBadInput, "--decode takes token ids, and '{}' is none",
           text.substr(0, std::min<size_t>(text.find_first_of(" ,\n"), 20)));
    }
    ids.push_back(id);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
  }
}

// What a token stands for with spaces as U+2423, and control characters and bytes that are not text
// in escapes. A control token shows its name.
std::string visible(const Tokenizer& tokenizer, int32_t id) {
  const std::string bytes = tokenizer.piece_bytes(id);
  if (bytes.empty()) return tokenizer.piece(id).text;
  std::string out;
  for (std::string_view rest = bytes; !rest.empty();) {
    const Utf8Prefix prefix = utf8_prefix(rest);
    const auto byte = static_cast<unsigned char>(rest[0]);
    const bool character = prefix.kind == Utf8Prefix::Kind::kCharacter;
    const size_t length = character ? prefix.length : 1;
    if (byte == '\n') {
      out += "\\n";
    } else if (byte == ' ') {
      out += "\u2423";
    } else if (!character || byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02X}", byte);
    } else {
      out += rest.substr(0, length);
    }
    rest.remove_prefix(length);
  }
  return out;
}

// One JSON document a line: the ids and what they decode to.
void print_lines(const Tokenizer& tokenizer, const TokenizeArguments& arguments,
                 std::string_view text) {
  for (const std::string_view line : split_lines(text)) {
    const Ids ids = encode(tokenizer, arguments, line);
    if (arguments.json) {
      const Json document = {{"ids", ids}, {"text", decode(tokenizer, ids)}};
      write_output(document.dump() + "\n");
    } else {
      print_text("{}\n", fmt::join(ids, " "));
    }
  }
}

void print_ids(const Tokenizer& tokenizer, const TokenizeArguments& arguments,
               std::string_view text) {
  const Ids ids = encode(tokenizer, arguments, text);
  if (arguments.json) {
    Json pieces = Json::array();
    for (const int32_t id : ids) pieces.push_back(tokenizer.piece(id).text);
    return print_json({{"model", arguments.model},
                       {"count", ids.size()},
                       {"ids", ids},
                       {"pieces", std::move(pieces)},
                       {"text_bytes", text.size()}});
  }
  if (arguments.ids_only) return print_text("{}\n", fmt::join(ids, " "));
  for (const int32_t id : ids) print_text("{:>7}  {}\n", id, visible(tokenizer, id));
}

void print_decoded(const Tokenizer& tokenizer, const TokenizeArguments& arguments,
                   std::string_view text) {
  const Ids ids = parse_ids(text);
  const std::string decoded = decode(tokenizer, ids);
  if (!arguments.json) return print_text("{}\n", decoded);
  print_json({{"model", arguments.model}, {"ids", ids}, {"text", decoded}});
}

// Encodes over and over; the first round, which fills caches, does not count.
void print_times(const Tokenizer& tokenizer, const TokenizeArguments& arguments,
                 std::string_view text, double load_seconds) {
  const std::vector<std::string_view> parts =
      arguments.lines ? split_lines(text) : std::vector<std::string_view>{text};
  std::vector<double> seconds;
  size_t tokens = 0;
  for (int round = 0; round <= arguments.time_rounds; ++round) {
    tokens = 0;
    const Clock::time_point start = Clock::now();
    for (const std::string_view part : parts) tokens += encode(tokenizer, arguments, part).size();
    if (round > 0) seconds.push_back(seconds_since(start));
  }
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  print_json({{"model", arguments.model},
              {"text_bytes", text.size()},
              {"texts", parts.size()},
              {"tokens", tokens},
              {"load_seconds", load_seconds},
              {"seconds", {{"median", median}, {"min", seconds.front()}, {"max", seconds.back()}}},
              {"megabytes_per_s", static_cast<double>(text.size()) / 1e6 / median}});
}

void tokenize(const TokenizeArguments& arguments) {
  const Clock::time_point start = Clock::now();
  const Tokenizer tokenizer = load_tokenizer(arguments.model);
  const double load_seconds = seconds_since(start);
  const std::string text = read_input(arguments);
  if (arguments.decode) return print_decoded(tokenizer, arguments, text);
  if (arguments.time_rounds > 0) return print_times(tokenizer, arguments, text, load_seconds);
  if (arguments.lines) return print_lines(tokenizer, arguments, text);
  print_ids(tokenizer, arguments, text);
}

void add_options(CLI::App& command, TokenizeArguments& arguments) {
  command
      .add_option("MODEL", arguments.model,
                  "A GGUF file, an HF model directory, a tokenizer.json or a tokenizer.model")
      ->required();
  CLI::Option* text =
      command.add_option("TEXT", arguments.text, "The text (default: standard input)");
  command.add_option("-f,--file", arguments.file, "Read the text from a file")->excludes(text);
  CLI::Option* prompt = command.add_flag("--prompt", arguments.prompt,
                                         "As for a prompt: with BOS where the model adds it");
  command
      .add_flag("--special", arguments.special,
                "Recognise control tokens that are written in the text")
      ->excludes(prompt);
  CLI::Option* lines =
      command.add_flag("--lines", arguments.lines, "Every line by itself: its ids on a line");
  command.add_flag("--ids", arguments.ids_only, "Only the ids, on one line");
  CLI::Option* decode =
      command.add_flag("--decode", arguments.decode, "The text is ids; print what they say");
  decode->excludes(prompt)->excludes(lines);
  command
      .add_option("--time", arguments.time_rounds,
                  "Encode this many times and print the speed instead (JSON)")
      ->check(CLI::Range(1, 1000))
      ->excludes(decode);
  command.add_flag("--json", arguments.json,
                   "Print one JSON document on stdout and nothing else there; with --lines, one a "
                   "line with the decoded text");
}

}  // namespace

void add_tokenize(CLI::App& app) {
  CLI::App* command = app.add_subcommand("tokenize", "Show the tokens of a text");
  auto arguments = std::make_shared<TokenizeArguments>();
  add_options(*command, *arguments);
  command->footer("Example:\n  tercet tokenize models/novel-b158.gguf \"It was a dark night\"");
  command->callback([arguments] { tokenize(*arguments); });
}

}  // namespace tercet::cli
