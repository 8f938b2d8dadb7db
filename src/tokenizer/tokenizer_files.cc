// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer_files.h"

#include <array>
#include <system_error>

#include "core/error.h"
#include "core/file.h"

namespace tercet {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModelName = "tokenizer.model";
constexpr std::array kFilesBeside = {kTokenizerJsonName,   kModelName,
                                     kTokenizerConfigName, "special_tokens_map.json",
                                     "added_tokens.json",  "chat_template.jinja",
                                     "chat_template.json"};

void copy_atomically(const fs::path& from, const fs::path& to) {
  const MappedFile source(from);
  AtomicFile target(to);
  target.write(source.bytes());
  target.commit();
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

fs::path tokenizer_definition(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path;
  for (const char* name : {kTokenizerJsonName, kModelName}) {
    if (is_there(path / name)) return path / name;
  }
  fail(ErrorCode::kIo, "'{}' holds neither {} nor {}", path.string(), kTokenizerJsonName,
       kModelName);
}

void copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  const fs::path definition = tokenizer_definition(from);
  const fs::path directory = definition.has_parent_path() ? definition.parent_path() : ".";
  std::error_code ignored;
  if (fs::equivalent(directory, to, ignored)) return;
  const char* definition_name = definition.extension() == ".json" ? kTokenizerJsonName : kModelName;
  copy_atomically(definition, to / definition_name);
  for (const std::string_view name : kFilesBeside) {
    // Beside a definition of another name, a file of its standard name is another tokenizer's.
    const bool defines = name == kTokenizerJsonName || name == kModelName;
    if (name == definition_name || (defines && definition.filename() != definition_name)) continue;
    if (is_there(directory / name)) copy_atomically(directory / name, to / name);
  }
}

}  // namespace tercet
