// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer_json.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/error.h"
#include "formats/json_fields.h"
#include "formats/printable.h"
#include "tokenizer/byte_piece.h"

namespace tercet {
namespace {

constexpr size_t kMaxBytes = size_t{256} << 20;

// model.vocab and model.merges as they stand in the file.
struct Tables {
  std::vector<std::pair<std::string, int64_t>> vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;
};

void take_token(const std::string& origin, std::string& text, const Json& id, Tables& tables) {
  if (!id.is_number_integer() || id.is_number_float()) {
    fail(ErrorCode::kBadInput, "{}: model.vocab: the id of '{}' is not a whole number", origin,
         printable(text));
  }
  const bool huge = id.is_number_unsigned() && id.get<uint64_t>() > INT32_MAX;
  tables.vocabulary.emplace_back(std::move(text), huge ? INT64_MAX : id.get<int64_t>());
}

// "a b", or ["a", "b"] where tokens may hold spaces.
void take_merge(const std::string& origin, Json& merge, Tables& tables) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    tables.merges.emplace_back(std::move(merge[0].get_ref<std::string&>()),
                               std::move(merge[1].get_ref<std::string&>()));
    return;
  }
  if (merge.is_string()) {
    const std::string& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      tables.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
      return;
    }
  }
  fail(ErrorCode::kBadInput, "{}: model.merges[{}] is not a pair of tokens", origin,
       tables.merges.size());
}

// Ids must be dense enough that the vocabulary is not much larger than the file.
void check_id(int64_t id, std::string_view text, size_t tokens, const std::string& origin) {
  const auto limit = static_cast<int64_t>(4 * tokens + 4096);
  if (id >= 0 && id < limit) return;
  fail(ErrorCode::kBadInput, "{}: id {} of the token '{}' is out of range for {} tokens", origin,
       id, printable(text), tokens);
}

void put_piece(size_t id, std::string text, PieceType type, const std::string& origin,
               std::vector<Piece>& pieces) {
  if (pieces.size() <= id) pieces.resize(id + 1, Piece{"", 0, PieceType::kUnused});
  if (!pieces[id].text.empty()) {
    fail(ErrorCode::kBadInput, "{}: '{}' and '{}' have the same id {}", origin,
         printable(pieces[id].text), printable(text), id);
  }
  pieces[id] = {std::move(text), 0, type};
}

void check_supported(const JsonFields& model, const std::string& origin) {
  const std::string type = model.string_or("type", "BPE");
  if (type != "BPE") {
    fail(ErrorCode::kUnsupported, "{}: model.type '{}' is not supported, only BPE is", origin,
         printable(type));
  }
  if (model.real_or("dropout", 0) != 0) {
    fail(ErrorCode::kUnsupported, "{}: model.dropout is not supported", origin);
  }
  for (const char* field : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const std::string value = model.string_or(field, "");
    if (value.empty()) continue;
    fail(ErrorCode::kUnsupported, "{}: model.{} = '{}' is not supported", origin, field,
         printable(value));
  }
}

void read_vocabulary(Tables& tables, HfSpec& spec) {
  BpeSpec& bpe = spec.bpe;
  for (auto& [text, id] : tables.vocabulary) {
    check_id(id, text, tables.vocabulary.size(), bpe.origin);
    if (text.empty()) continue;  // never found in a text
    const bool byte = bpe.byte_fallback && parse_byte_piece(text);
    put_piece(static_cast<size_t>(id), std::move(text),
              byte ? PieceType::kByte : PieceType::kNormal, bpe.origin, bpe.pieces);
  }
  bpe.merges = std::move(tables.merges);
}

AddedToken read_added_token(const Json& json, const std::string& origin) {
  const JsonFields fields(json, origin, "added_tokens.");
  AddedToken token;
  token.text = fields.string_or("content", "");
  const int64_t id = fields.integer("id");
  if (id < 0 || id > INT32_MAX) {
    fail(ErrorCode::kBadInput, "{}: added_tokens: id {} of '{}' is out of range", origin, id,
         printable(token.text));
  }
  token.id = static_cast<int32_t>(id);
  token.special = fields.boolean_or("special", false);
  token.single_word = fields.boolean_or("single_word", false);
  token.lstrip = fields.boolean_or("lstrip", false);
  token.rstrip = fields.boolean_or("rstrip", false);
  token.normalized = fields.boolean_or("normalized", !token.special);
  if (token.text.size() > kMaxAddedTokenBytes) {
    fail(ErrorCode::kUnsupported, "{}: the added token {} has {} bytes; at most {} work", origin,
         token.id, token.text.size(), kMaxAddedTokenBytes);
  }
  return token;
}

// They may repeat tokens of the vocabulary, under the same id, or add to it.
void read_added_tokens(const Json& json, HfSpec& spec) {
  BpeSpec& bpe = spec.bpe;
  if (!json.is_array()) {
    fail(ErrorCode::kBadInput, "{}: added_tokens is not a list", bpe.origin);
  }
  std::unordered_map<std::string_view, bool> seen;
  for (const Json& element : json) {
    AddedToken token = read_added_token(element, bpe.origin);
    if (token.text.empty()) continue;
    spec.added.push_back(std::move(token));
  }
  for (const AddedToken& token : spec.added) {
    const auto id = static_cast<size_t>(token.id);
    check_id(token.id, token.text, bpe.pieces.size() + spec.added.size(), bpe.origin);
    if (!seen.emplace(token.text, true).second) {
      fail(ErrorCode::kBadInput, "{}: the added token '{}' is given twice", bpe.origin,
           printable(token.text));
    }
    if (id >= bpe.pieces.size() || bpe.pieces[id].text != token.text) {
      put_piece(id, token.text, PieceType::kNormal, bpe.origin, bpe.pieces);
    }
    bpe.pieces[id].type = token.special ? PieceType::kControl : PieceType::kUserDefined;
  }
}

void read_unknown(const JsonFields& model, HfSpec& spec) {
  const std::string text = model.string_or("unk_token", "");
  if (text.empty()) return;
  std::vector<Piece>& pieces = spec.bpe.pieces;
  const auto found = std::find_if(pieces.begin(), pieces.end(),
                                  [&](const Piece& piece) { return piece.text == text; });
  if (found == pieces.end()) {
    fail(ErrorCode::kBadInput, "{}: model.unk_token '{}' is not in the vocabulary", spec.bpe.origin,
         printable(text));
  }
  found->type = PieceType::kUnknown;
  spec.bpe.unknown_id = static_cast<int32_t>(found - pieces.begin());
  spec.special_ids.unknown = spec.bpe.unknown_id;
}

const Json& member(const Json& json, const char* name) {
  static const Json kNull;
  const auto found = json.find(name);
  return found == json.end() ? kNull : *found;
}

}  // namespace

HfSpec parse_tokenizer_json(std::string_view text, const std::string& origin) {
  Tables tables;
  const Json json = parse_json(
      text, origin, kMaxBytes,
      {{"model.vocab",
        [&](std::string& key, Json& value) { take_token(origin, key, value, tables); }},
       {"model.merges", [&](std::string&, Json& value) { take_merge(origin, value, tables); }}});
  const JsonFields fields(json, origin);
  const auto model = fields.object("model");
  if (!model) {
    fail(ErrorCode::kBadInput, "{}: the field 'model' is missing; not a tokenizer.json", origin);
  }
  check_supported(*model, origin);
  HfSpec spec;
  spec.bpe.origin = origin;
  spec.bpe.byte_fallback = model->boolean_or("byte_fallback", false);
  spec.bpe.fuse_unknown = model->boolean_or("fuse_unk", false);
  spec.bpe.ignore_merges = model->boolean_or("ignore_merges", false);
  read_vocabulary(tables, spec);
  if (const Json* added = fields.find("added_tokens")) read_added_tokens(*added, spec);
  if (spec.bpe.pieces.empty()) {
    fail(ErrorCode::kBadInput, "{}: the vocabulary is empty", origin);
  }
  read_unknown(*model, spec);
  read_normalizer(member(json, "normalizer"), origin, spec);
  read_pre_tokenizer(member(json, "pre_tokenizer"), origin, spec);
  read_decoder(member(json, "decoder"), origin, spec);
  read_post_processor(member(json, "post_processor"), origin, spec);
  return spec;
}

}  // namespace tercet
