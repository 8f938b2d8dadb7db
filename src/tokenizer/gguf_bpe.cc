// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/gguf_bpe.h"

#include <optional>
#include <string>
#include <utility>

#include "core/error.h"
#include "formats/gguf.h"
#include "formats/printable.h"
#include "tokenizer/gguf_keys.h"
#include "tokenizer/merge_scores.h"
#include "tokenizer/pre_type_json.h"
#include "tokenizer/pre_types.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/unicode.h"

namespace tercet {
namespace {

// Of files that only their tokenizer.json describes; other readers refuse it.
constexpr const char* kJsonPre = "huggingface-json";

// Byte-level tokens are text; nothing else can be looked for in one.
void check_utf8(const std::vector<Piece>& pieces, const std::string& origin) {
  std::string repaired;
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (valid_utf8(pieces[id].text, repaired) == pieces[id].text) continue;
    fail(ErrorCode::kBadInput, "'{}': {}[{}] = '{}' is not UTF-8", origin, kGgufTokens, id,
         printable(pieces[id].text));
  }
}

// "a b"; a space can only stand between, since byte-level tokens have none.
std::vector<std::pair<std::string, std::string>> read_merges(const GgufFile& file) {
  const std::vector<std::string>& lines = file.strings(kGgufMerges);
  std::vector<std::pair<std::string, std::string>> merges;
  merges.reserve(lines.size());
  for (const std::string& line : lines) {
    const size_t space = line.find(' ', 1);
    if (line.empty() || space == std::string::npos || space + 1 == line.size()) {
      fail(ErrorCode::kBadInput, "'{}': {}[{}] = '{}' is not a pair of tokens",
           file.path().string(), kGgufMerges, merges.size(), printable(line));
    }
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

void apply_pre_type(const PreType& type, const std::string& origin, HfSpec& spec) {
  read_normalizer(normalizer_json(type), origin, spec);
  read_pre_tokenizer(pre_tokenizer_json(type), origin, spec);
  spec.bpe.ignore_merges = type.ignore_merges;
}

// Control and user-defined tokens are looked for in the text.
void collect_added(HfSpec& spec) {
  for (size_t id = 0; id < spec.bpe.pieces.size(); ++id) {
    const Piece& piece = spec.bpe.pieces[id];
    const bool control = piece.type == PieceType::kControl;
    if (piece.text.empty() || (!control && piece.type != PieceType::kUserDefined)) continue;
    if (piece.text.size() > kMaxAddedTokenBytes) {
      fail(ErrorCode::kUnsupported, "{}: the special token {} has {} bytes; at most {} work",
           spec.bpe.origin, id, piece.text.size(), kMaxAddedTokenBytes);
    }
    AddedToken token;
    token.id = static_cast<int32_t>(id);
    token.text = piece.text;
    token.special = control;
    token.normalized = false;
    spec.added.push_back(std::move(token));
  }
}

void read_special_ids(const GgufFile& file, bool add_bos, SpecialIds& ids, size_t vocab_size) {
  ids.bos = read_gguf_id(file, kGgufBosId, vocab_size);
  ids.eos = read_gguf_id(file, kGgufEosId, vocab_size);
  ids.unknown = read_gguf_id(file, kGgufUnknownId, vocab_size);
  ids.padding = read_gguf_id(file, kGgufPaddingId, vocab_size);
  ids.prefix.clear();
  ids.suffix.clear();
  ids.ends = read_gguf_other_ends(file, vocab_size);
  if (ids.eos >= 0) ids.ends.insert(ids.ends.begin(), ids.eos);
  for (const auto& [key, wanted, id, target] :
       {std::tuple{kGgufAddBos, add_bos, ids.bos, &ids.prefix},
        std::tuple{kGgufAddEos, false, ids.eos, &ids.suffix}}) {
    const bool adds = file.boolean_or(key, wanted && id >= 0);
    if (adds && id < 0) {
      fail(ErrorCode::kBadInput, "'{}': {} is true, but the file names no such token",
           file.path().string(), key);
    }
    if (adds) target->push_back(id);
  }
}

HfSpec read_stored_json(const GgufFile& file) {
  HfSpec spec = parse_tokenizer_json(file.string(kGgufHuggingFaceJson), file.path().string());
  const size_t tokens = file.strings(kGgufTokens).size();
  if (tokens != spec.bpe.pieces.size()) {
    fail(ErrorCode::kBadInput, "'{}': {} has {} entries, but {} describes {}", file.path().string(),
         kGgufTokens, tokens, kGgufHuggingFaceJson, spec.bpe.pieces.size());
  }
  spec.json = file.string(kGgufHuggingFaceJson);
  const bool add_bos = !spec.special_ids.prefix.empty();
  const int32_t unknown = spec.special_ids.unknown;
  read_special_ids(file, add_bos, spec.special_ids, tokens);
  if (spec.special_ids.unknown < 0) spec.special_ids.unknown = unknown;
  return spec;
}

// Whether GGUF's token types say all about the added tokens.
bool added_tokens_are_plain(const HfSpec& spec) {
  for (const AddedToken& token : spec.added) {
    const bool normalized = token.normalized && !spec.normalizer.empty();
    if (token.single_word || token.lstrip || token.rstrip || normalized) return false;
  }
  return true;
}

void write_common(const SpecialIds& ids, const std::vector<Piece>& pieces, GgufWriter& writer) {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const bool hole = pieces[id].text.empty();
    tokens.push_back(hole ? fmt::format("[PAD{}]", id) : pieces[id].text);
    types.push_back(static_cast<int32_t>(pieces[id].type));
  }
  writer.set(kGgufTokens, GgufValue::strings(std::move(tokens)));
  writer.set(kGgufTokenTypes, GgufValue::i32s(types));
  const std::pair<const char*, int32_t> known[] = {{kGgufBosId, ids.bos},
                                                   {kGgufEosId, ids.eos},
                                                   {kGgufUnknownId, ids.unknown},
                                                   {kGgufPaddingId, ids.padding}};
  for (const auto& [key, id] : known) {
    if (id >= 0) writer.set(key, GgufValue::u32(static_cast<uint32_t>(id)));
  }
  writer.set(kGgufAddBos, GgufValue::boolean(!ids.prefix.empty()));
  writer.set(kGgufAddEos, GgufValue::boolean(!ids.suffix.empty()));
}

void write_merges(const BpeModel& model, GgufWriter& writer) {
  std::vector<std::string> merges;
  merges.reserve(model.merges().size());
  const auto text = [&](int32_t id) { return model.pieces()[static_cast<size_t>(id)].text; };
  for (const auto& [left, right] : model.merges()) merges.push_back(text(left) + " " + text(right));
  writer.set(kGgufMerges, GgufValue::strings(std::move(merges)));
}

bool prompt_is_plain(const SpecialIds& ids) {
  const bool prefix = ids.prefix.empty() || (ids.prefix.size() == 1 && ids.prefix[0] == ids.bos);
  const bool suffix = ids.suffix.empty() || (ids.suffix.size() == 1 && ids.suffix[0] == ids.eos);
  return prefix && suffix;
}

}  // namespace

HfSpec read_gguf_bpe(const GgufFile& file) {
  if (file.find(kGgufHuggingFaceJson) != nullptr) return read_stored_json(file);
  const std::string origin = file.path().string();
  if (file.find(kGgufTokenizerPre) == nullptr) {
    fail(ErrorCode::kUnsupported,
         "'{}': {} is missing, so how the text is split into words is unknown; convert the model "
         "again",
         origin, kGgufTokenizerPre);
  }
  const std::string& pre = file.string(kGgufTokenizerPre);
  const PreType* type = find_pre_type(pre);
  if (type == nullptr) {
    fail(ErrorCode::kUnsupported, "'{}': {} = '{}' is not a pre-tokenizer this program knows",
         origin, kGgufTokenizerPre, printable(pre));
  }
  HfSpec spec;
  spec.bpe.origin = origin;
  spec.bpe.pieces = read_gguf_pieces(file);
  check_utf8(spec.bpe.pieces, origin);
  spec.bpe.merges = read_merges(file);
  apply_pre_type(*type, origin, spec);
  collect_added(spec);
  read_decoder({{"type", "ByteLevel"}}, origin, spec);
  // The unknown token has a role elsewhere; bytes that are no token vanish, as in llama.cpp.
  read_special_ids(file, type->add_bos, spec.special_ids, spec.bpe.pieces.size());
  return spec;
}

bool gguf_needs_json(const HfSpec& spec) {
  return spec.bpe.unknown_id >= 0 || !added_tokens_are_plain(spec) ||
         !prompt_is_plain(spec.special_ids) ||
         matching_pre_type(spec, spec.bpe.byte_level, spec.bpe.ignore_merges) == nullptr;
}

void write_gguf_bpe(const HfSpec& spec, const BpeModel& model, GgufWriter& writer) {
  write_common(spec.special_ids, model.pieces(), writer);
  // Files "gpt2" cannot say that a byte outside the vocabulary becomes the unknown token.
  const bool unknown_bytes =
      model.byte_level() && model.unknown_id() >= 0 && !model.has_all_bytes();
  const bool plain =
      !unknown_bytes && added_tokens_are_plain(spec) && prompt_is_plain(spec.special_ids);
  const PreType* type =
      plain ? matching_pre_type(spec, model.byte_level(), model.ignore_merges()) : nullptr;
  if (plain && type == nullptr) {
    if (const auto scores = sentencepiece_scores(spec, model)) {
      writer.set(kGgufTokenizerModel, GgufValue::string("llama"));
      writer.set(kGgufScores, GgufValue::f32s(scores->values));
      writer.set(kGgufAddSpacePrefix, GgufValue::boolean(scores->leading_space));
      return;
    }
  }
  writer.set(kGgufTokenizerModel, GgufValue::string("gpt2"));
  write_merges(model, writer);
  if (type != nullptr) {
    writer.set(kGgufTokenizerPre, GgufValue::string(std::string(type->name)));
    return;
  }
  if (spec.json.empty()) {
    fail(ErrorCode::kInternal, "a tokenizer without a known pre-tokenizer has lost its file");
  }
  writer.set(kGgufTokenizerPre, GgufValue::string(kJsonPre));
  writer.set(kGgufHuggingFaceJson, GgufValue::string(spec.json));
}

}  // namespace tercet
