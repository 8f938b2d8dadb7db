// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common/output.h"
#include "formats/gguf.h"
#include "tokenizer/tokenizer.h"

namespace tercet::cli {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;

struct TokenizeArguments {
  std::string model;
  std::optional<std::string> text;
  bool prompt = false;
  bool ids_only = false;
  bool json = false;
};

// From a GGUF file, an HF directory or a tokenizer.model; no weights are read.
Tokenizer load_tokenizer(const std::filesystem::path& path) {
  if (path.extension() == ".gguf") return Tokenizer::from_gguf(GgufFile(path));
  return Tokenizer::load(path);
}

// Control characters would move the cursor.
std::string printable(const std::string& piece) {
  std::string text;
  for (const char c : piece) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      text += c;
    }
  }
  return text;
}

void tokenize(const TokenizeArguments& arguments) {
  const Tokenizer tokenizer = load_tokenizer(arguments.model);
  const std::string text = arguments.text ? *arguments.text : read_standard_input(kMaxTextBytes);
  const std::vector<int32_t> ids =
      arguments.prompt ? tokenizer.encode_prompt(text) : tokenizer.encode(text);
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
  for (const int32_t id : ids) print_text("{:>7}  {}\n", id, printable(tokenizer.piece(id).text));
}

}  // namespace

void add_tokenize(CLI::App& app) {
  CLI::App* command = app.add_subcommand("tokenize", "Show the tokens of a text");
  auto arguments = std::make_shared<TokenizeArguments>();
  command
      ->add_option("MODEL", arguments->model,
                   "A GGUF file, an HF model directory or a tokenizer.model")
      ->required();
  command->add_option("TEXT", arguments->text, "The text (default: standard input)");
  command->add_flag("--prompt", arguments->prompt,
                    "As for a prompt: with BOS where the model adds it");
  command->add_flag("--ids", arguments->ids_only, "Only the ids, on one line");
  command->add_flag("--json", arguments->json,
                    "Print one JSON document on stdout and nothing else there");
  command->footer("Example:\n  tercet tokenize models/novel-b158.gguf \"It was a dark night\"");
  command->callback([arguments] { tokenize(*arguments); });
}

}  // namespace tercet::cli
