// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/chat_template.h"

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "formats/gguf.h"
#include "formats/json.h"
#include "tokenizer/builtin_templates.h"
#include "tokenizer/jinja/unicode.h"

namespace tercet {
namespace fs = std::filesystem;

namespace {

constexpr const char* kFileName = "chat_template.jinja";
constexpr const char* kGgufKey = "tokenizer.chat_template";
constexpr size_t kMaxBytes = jinja::Limits{}.max_template_bytes;
// tokenizer_config.json lists the added tokens too.
constexpr size_t kMaxConfigBytes = size_t{16} << 20;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// The template named "default" in a list of {"name": ..., "template": ...}.
std::optional<std::string> default_of(const Json& list, const std::string& origin) {
  for (const Json& entry : list) {
    if (!entry.is_object() || !entry.contains("name") || !entry.contains("template") ||
        !entry["name"].is_string() || !entry["template"].is_string()) {
      fail(ErrorCode::kBadInput, "{}: an entry of the list is no named template", origin);
    }
    if (entry["name"] == "default") return entry["template"].get<std::string>();
  }
  return std::nullopt;
}

// The field `chat_template` of a JSON file.
std::optional<ChatTemplateSource> from_json_file(const fs::path& path) {
  if (!is_there(path)) return std::nullopt;
  const Json document = read_json_file(path, kMaxConfigBytes);
  const std::string origin = path.string() + ": chat_template";
  if (!document.is_object()) return std::nullopt;
  const auto field = document.find("chat_template");
  if (field == document.end() || field->is_null()) return std::nullopt;
  if (field->is_string()) return ChatTemplateSource{field->get<std::string>(), origin};
  if (!field->is_array()) {
    fail(ErrorCode::kBadInput, "{} is neither a text nor a list of named templates", origin);
  }
  std::optional<std::string> text = default_of(*field, origin);
  if (!text) return std::nullopt;
  return ChatTemplateSource{std::move(*text), origin};
}

std::string text_of(const Tokenizer& tokenizer, int32_t id) {
  return id < 0 ? std::string() : tokenizer.piece(id).text;
}

// A special token's text as a variable: undefined when there is none, as in transformers.
void set_token(jinja::Map& variables, const char* name, const std::string& text) {
  if (!text.empty()) variables.set(name, jinja::Value(text));
}

}  // namespace

std::optional<ChatTemplateSource> find_chat_template(const fs::path& directory) {
  const fs::path own_file = directory / kFileName;
  if (is_there(own_file)) {
    return ChatTemplateSource{read_text_file(own_file, kMaxBytes), own_file.string()};
  }
  if (auto found = from_json_file(directory / "chat_template.json")) return found;
  return from_json_file(directory / "tokenizer_config.json");
}

std::optional<ChatTemplateSource> find_chat_template(const GgufFile& file) {
  if (file.find(kGgufKey) == nullptr) return std::nullopt;
  return ChatTemplateSource{file.string(kGgufKey), file.path().string() + ": " + kGgufKey};
}

void write_chat_template(const ChatTemplateSource& source, GgufWriter& writer) {
  writer.set(kGgufKey, GgufValue::string(source.text));
}

void write_chat_template(const ChatTemplateSource& source, const fs::path& directory) {
  write_text_file(directory / kFileName, source.text);
}

ChatTemplateSource named_chat_template(const std::string& name_or_file) {
  const std::string_view built_in = find_builtin_template(name_or_file);
  if (!built_in.empty()) return {std::string(built_in), name_or_file + " template", true};
  if (!is_there(name_or_file)) {
    fail(ErrorCode::kUsage, "--chat-template '{}' is neither a file nor one of: {}", name_or_file,
         builtin_template_names());
  }
  return {read_text_file(name_or_file, kMaxBytes), name_or_file};
}

ChatTemplate::ChatTemplate(ChatTemplateSource source)
    : origin_(source.origin),
      built_in_(source.built_in),
      template_(source.text, std::move(source.origin)) {}

jinja::Text ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                 const ChatRenderOptions& options) const {
  std::vector<jinja::Value> list;
  for (const ChatMessage& message : messages) {
    jinja::Map fields;
    fields.set("role", jinja::Value(message.role));
    fields.set("content", jinja::Value(jinja::repair_utf8(message.content), jinja::Origin::kData));
    list.push_back(jinja::make_map(std::move(fields)));
  }
  jinja::Map variables = options.variables;
  variables.set("messages", jinja::make_list(std::move(list)));
  variables.set("add_generation_prompt", jinja::Value(options.add_generation_prompt));
  set_token(variables, "bos_token", options.bos_token);
  set_token(variables, "eos_token", options.eos_token);
  return template_.render(variables, options.now);
}

std::vector<int32_t> ChatTemplate::encode(const std::vector<ChatMessage>& messages,
                                          ChatRenderOptions options,
                                          const Tokenizer& tokenizer) const {
  options.bos_token = text_of(tokenizer, tokenizer.bos_id());
  options.eos_token = text_of(tokenizer, tokenizer.eos_id());
  const jinja::Text text = render(messages, options);
  std::vector<int32_t> ids = tokenizer.encode_with_special(text.bytes(), text.data_ranges());
  const bool lacks_bos = ids.empty() || ids.front() != tokenizer.bos_id();
  if (built_in_ && tokenizer.add_bos() && lacks_bos) ids.insert(ids.begin(), tokenizer.bos_id());
  return ids;
}

}  // namespace tercet
