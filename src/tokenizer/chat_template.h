// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/jinja/json_value.h"
#include "tokenizer/jinja/template.h"
#include "tokenizer/tokenizer.h"

namespace tercet {

class GgufFile;
class GgufWriter;

// The text of a chat template and what errors call it.
struct ChatTemplateSource {
  std::string text;
  std::string origin;  // e.g. "model.gguf: tokenizer.chat_template"
  // A template of the program's own does not know whether prompts of the model begin with BOS.
  bool built_in = false;
};

// The template of an HF directory: chat_template.jinja, else chat_template.json, else the
// `chat_template` of tokenizer_config.json: a text, or a list of named ones of which "default" is
// taken. Nothing when there is none. Throws kBadInput naming file and field, kIo.
std::optional<ChatTemplateSource> find_chat_template(const std::filesystem::path& directory);
// The key tokenizer.chat_template.
std::optional<ChatTemplateSource> find_chat_template(const GgufFile& file);
void write_chat_template(const ChatTemplateSource& source, GgufWriter& writer);
// As chat_template.jinja. Throws kIo.
void write_chat_template(const ChatTemplateSource& source, const std::filesystem::path& directory);
// What the user names: a template that comes with the program or a file. Throws kUsage listing the
// names when it is neither.
ChatTemplateSource named_chat_template(const std::string& name_or_file);

struct ChatMessage {
  std::string role;  // "system", "user", "assistant" or "tool"
  std::string content;
  bool operator==(const ChatMessage&) const = default;
};

struct ChatRenderOptions {
  bool add_generation_prompt = true;  // end where the answer begins
  std::string bos_token;              // texts, empty for none
  std::string eos_token;
  // Further variables such as enable_thinking or tools (see jinja::from_json).
  jinja::Map variables;
  std::chrono::system_clock::time_point now = std::chrono::system_clock::now();
};

// Turns a conversation into a prompt as the model was trained to see it. Immutable; safe to share
// between threads.
class ChatTemplate {
 public:
  // Throws as jinja::Template.
  explicit ChatTemplate(ChatTemplateSource source);

  const std::string& origin() const { return origin_; }

  // The prompt. The contents of messages and all strings in `options.variables` are data, roles are
  // not: templates build tokens from them, and callers choose them from a fixed set. Throws as
  // jinja::Template::render, e.g. with the template's own complaint about the order of roles.
  jinja::Text render(const std::vector<ChatMessage>& messages,
                     const ChatRenderOptions& options) const;

  // Ids of render() for a model with this tokenizer, whose BOS and EOS it is given. Control tokens
  // are recognised in what the template wrote, and only there: what a user typed stays text, even
  // "<|im_end|>". Every token sees its neighbours, as if the whole were encoded at once.
  std::vector<int32_t> encode(const std::vector<ChatMessage>& messages, ChatRenderOptions options,
                              const Tokenizer& tokenizer) const;

 private:
  std::string origin_;
  bool built_in_;
  jinja::Template template_;
};

}  // namespace tercet
