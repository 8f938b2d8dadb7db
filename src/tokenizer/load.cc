// SPDX-License-Identifier: Apache-2.0
// Which files a tokenizer is read from, and what those beside its definition add.
#include <algorithm>
#include <span>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "formats/gguf.h"
#include "formats/json.h"
#include "formats/json_fields.h"
#include "formats/printable.h"
#include "tokenizer/gguf_bpe.h"
#include "tokenizer/gguf_keys.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/hf_codec.h"
#include "tokenizer/spm_codec.h"
#include "tokenizer/spm_file.h"
#include "tokenizer/tokenizer_files.h"
#include "tokenizer/tokenizer_json.h"

namespace tercet {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSpecialTokensName = "special_tokens_map.json";

// What the files beside a definition say; texts are empty where they say nothing.
struct Roles {
  std::string bos;
  std::string eos;
  std::string unknown;
  std::string padding;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
};

std::optional<Json> read_beside(const fs::path& definition, const char* name) {
  const fs::path path = definition.parent_path() / name;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  return read_json_file(path);
}

// A token is written as its text, or as an object that has it under "content".
void read_role(const JsonFields& fields, const char* name, std::string& role) {
  const Json* value = fields.find(name);
  if (value == nullptr || !role.empty()) return;
  const auto object = value->is_object() ? fields.object(name) : std::nullopt;
  role = object ? object->string_or("content", "") : fields.string_or(name, "");
}

std::optional<bool> read_flag(const JsonFields& fields, const char* name) {
  if (!fields.has(name)) return std::nullopt;
  return fields.boolean_or(name, false);
}

Roles read_roles(const fs::path& definition) {
  Roles roles;
  for (const char* name : {kTokenizerConfigName, kSpecialTokensName}) {
    const std::optional<Json> json = read_beside(definition, name);
    if (!json) continue;
    const JsonFields fields(*json, (definition.parent_path() / name).string());
    read_role(fields, "bos_token", roles.bos);
    read_role(fields, "eos_token", roles.eos);
    read_role(fields, "unk_token", roles.unknown);
    read_role(fields, "pad_token", roles.padding);
    if (!roles.add_bos) roles.add_bos = read_flag(fields, "add_bos_token");
    if (!roles.add_eos) roles.add_eos = read_flag(fields, "add_eos_token");
  }
  return roles;
}

int32_t find_piece(const std::vector<Piece>& pieces, const std::string& text) {
  if (text.empty()) return -1;
  const auto found = std::find_if(pieces.begin(), pieces.end(),
                                  [&](const Piece& piece) { return piece.text == text; });
  return found == pieces.end() ? -1 : static_cast<int32_t>(found - pieces.begin());
}

// Puts `id` at the place of `ids` where the flag wants it, or takes it away.
void apply_flag(const std::optional<bool>& flag, int32_t id, bool at_front, const char* name,
                const std::string& origin, std::vector<int32_t>& ids) {
  if (!flag) return;
  if (!*flag) {
    std::erase(ids, id);
    return;
  }
  if (id < 0) {
    fail(ErrorCode::kBadInput, "{}: {} is true beside it, but there is no such token", origin,
         name);
  }
  if (std::find(ids.begin(), ids.end(), id) != ids.end()) return;
  ids.insert(at_front ? ids.begin() : ids.end(), id);
}

void apply_roles(const Roles& roles, HfSpec& spec) {
  SpecialIds& ids = spec.special_ids;
  ids.bos = find_piece(spec.bpe.pieces, roles.bos);
  ids.eos = find_piece(spec.bpe.pieces, roles.eos);
  if (ids.unknown < 0) ids.unknown = find_piece(spec.bpe.pieces, roles.unknown);
  ids.padding = find_piece(spec.bpe.pieces, roles.padding);
  // A template with one token in front of the text says as much as a bos_token.
  if (ids.bos < 0 && ids.prefix.size() == 1) ids.bos = ids.prefix.front();
  apply_flag(roles.add_bos, ids.bos, true, "add_bos_token", spec.bpe.origin, ids.prefix);
  apply_flag(roles.add_eos, ids.eos, false, "add_eos_token", spec.bpe.origin, ids.suffix);
  if (ids.eos >= 0) ids.ends = {ids.eos};
}

std::unique_ptr<const Codec> make_json_codec(std::string_view text, const std::string& origin,
                                             const Roles& roles) {
  HfSpec spec = parse_tokenizer_json(text, origin);
  apply_roles(roles, spec);
  if (gguf_needs_json(spec)) spec.json = text;
  return make_hf_codec(std::move(spec));
}

std::unique_ptr<const Codec> load_json(const fs::path& path) {
  const MappedFile file(path);
  const std::span<const uint8_t> bytes = file.bytes();
  return make_json_codec({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string(),
                         read_roles(path));
}

std::unique_ptr<const Codec> load_sentencepiece(const fs::path& path) {
  TokenizerSpec spec = read_spm_file(path);
  const Roles roles = read_roles(path);
  spec.add_bos = roles.add_bos.value_or(spec.add_bos);
  spec.add_eos = roles.add_eos.value_or(spec.add_eos);
  spec.padding_id = find_piece(spec.pieces, roles.padding);
  return make_spm_codec(std::move(spec));
}

}  // namespace

Tokenizer Tokenizer::load(const fs::path& path) {
  const fs::path definition = tokenizer_definition(path);
  const bool is_json = definition.extension() == ".json";
  return Tokenizer(is_json ? load_json(definition) : load_sentencepiece(definition));
}

Tokenizer Tokenizer::from_json(std::string_view text, const std::string& origin) {
  return Tokenizer(make_json_codec(text, origin, {}));
}

Tokenizer Tokenizer::from_gguf(const GgufFile& file) {
  const std::string& model = file.string(kGgufTokenizerModel);
  if (model == "gpt2") return Tokenizer(make_hf_codec(read_gguf_bpe(file)));
  if (model == "llama") return Tokenizer(make_spm_codec(read_gguf_vocabulary(file)));
  fail(ErrorCode::kUnsupported, "'{}': {} = '{}' is not supported, only 'gpt2' and 'llama' are",
       file.path().string(), kGgufTokenizerModel, printable(model));
}

}  // namespace tercet
