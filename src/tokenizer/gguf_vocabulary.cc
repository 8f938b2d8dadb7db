// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/gguf_vocabulary.h"

#include "core/error.h"
#include "formats/gguf.h"
#include "formats/printable.h"
#include "tokenizer/gguf_keys.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/utf8.h"

namespace tercet {
namespace {

// In GGUF files user-defined pieces, which llama.cpp looks for in the text as it is, are written
// with spaces; SentencePiece has them, as all others, with U+2581.
std::string with_symbols(std::string text) {
  replace_all(text, " ", kSpaceSymbol);
  return text;
}

std::string with_spaces(std::string text) {
  replace_all(text, kSpaceSymbol, " ");
  return text;
}

std::vector<Piece> read_scored_pieces(const GgufFile& file) {
  std::vector<Piece> pieces = read_gguf_pieces(file);
  const std::vector<double> scores = file.reals(kGgufScores);
  if (scores.size() != pieces.size()) {
    fail(ErrorCode::kBadInput, "'{}': {} has {} entries and {} {}; they must be equal",
         file.path().string(), kGgufTokens, pieces.size(), kGgufScores, scores.size());
  }
  for (size_t id = 0; id < pieces.size(); ++id) {
    pieces[id].score = static_cast<float>(scores[id]);
    if (pieces[id].type == PieceType::kUserDefined) pieces[id].text = with_symbols(pieces[id].text);
  }
  return pieces;
}

// The id under `key`; when the key is absent, `customary` if that piece has the type expected.
int64_t read_id(const GgufFile& file, const char* key, const std::vector<Piece>& pieces,
                size_t customary, PieceType type) {
  const int32_t id = read_gguf_id(file, key, pieces.size());
  if (id >= 0) return id;
  const bool fits = customary < pieces.size() && pieces[customary].type == type;
  return fits ? static_cast<int64_t>(customary) : -1;
}

}  // namespace

std::vector<Piece> read_gguf_pieces(const GgufFile& file) {
  const std::vector<std::string>& tokens = file.strings(kGgufTokens);
  const std::vector<int64_t> types = file.integers(kGgufTokenTypes);
  if (types.size() != tokens.size()) {
    fail(ErrorCode::kBadInput, "'{}': {} has {} entries and {} {}; they must be equal",
         file.path().string(), kGgufTokens, tokens.size(), kGgufTokenTypes, types.size());
  }
  std::vector<Piece> pieces(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] < 1 || types[id] > 6) {
      fail(ErrorCode::kBadInput, "'{}': {}[{}] = {} is not a piece type (1 to 6)",
           file.path().string(), kGgufTokenTypes, id, types[id]);
    }
    pieces[id] = {tokens[id], 0, static_cast<PieceType>(types[id])};
  }
  return pieces;
}

int32_t read_gguf_id(const GgufFile& file, const char* key, size_t vocab_size) {
  if (file.find(key) == nullptr) return -1;
  const int64_t id = file.integer(key);
  if (id < 0 || id >= static_cast<int64_t>(vocab_size) || id > INT32_MAX) {
    fail(ErrorCode::kBadInput, "'{}': {} = {} is outside the vocabulary of {}",
         file.path().string(), key, id, vocab_size);
  }
  return static_cast<int32_t>(id);
}

std::vector<int32_t> read_gguf_other_ends(const GgufFile& file, size_t vocab_size) {
  std::vector<int32_t> ids;
  for (const char* key : {kGgufEotId, kGgufEomId}) {
    const int32_t id = read_gguf_id(file, key, vocab_size);
    if (id >= 0) ids.push_back(id);
  }
  return ids;
}

TokenizerSpec read_gguf_vocabulary(const GgufFile& file) {
  if (file.find(kGgufCharsMap) != nullptr) {
    fail(ErrorCode::kUnsupported, "'{}': {} is not supported, only identity normalization is",
         file.path().string(), kGgufCharsMap);
  }
  TokenizerSpec spec;
  spec.origin = file.path().string();
  spec.pieces = read_scored_pieces(file);
  spec.unknown_id = read_id(file, kGgufUnknownId, spec.pieces, 0, PieceType::kUnknown);
  spec.bos_id = read_id(file, kGgufBosId, spec.pieces, 1, PieceType::kControl);
  spec.eos_id = read_id(file, kGgufEosId, spec.pieces, 2, PieceType::kControl);
  spec.padding_id = read_gguf_id(file, kGgufPaddingId, spec.pieces.size());
  spec.add_bos = file.boolean_or(kGgufAddBos, spec.bos_id >= 0);
  spec.add_eos = file.boolean_or(kGgufAddEos, false);
  spec.other_ends = read_gguf_other_ends(file, spec.pieces.size());
  spec.add_dummy_prefix = file.boolean_or(kGgufAddSpacePrefix, true);
  spec.remove_extra_whitespaces = file.boolean_or(kGgufRemoveExtraWhitespaces, false);
  return spec;
}

void write_gguf_vocabulary(const TokenizerSpec& spec, GgufWriter& writer) {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const Piece& piece : spec.pieces) {
    const bool user_defined = piece.type == PieceType::kUserDefined;
    tokens.push_back(user_defined ? with_spaces(piece.text) : piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<int32_t>(piece.type));
  }
  writer.set(kGgufTokenizerModel, GgufValue::string("llama"));
  writer.set(kGgufTokens, GgufValue::strings(std::move(tokens)));
  writer.set(kGgufScores, GgufValue::f32s(scores));
  writer.set(kGgufTokenTypes, GgufValue::i32s(types));
  const std::pair<const char*, int64_t> ids[] = {{kGgufUnknownId, spec.unknown_id},
                                                 {kGgufBosId, spec.bos_id},
                                                 {kGgufEosId, spec.eos_id},
                                                 {kGgufPaddingId, spec.padding_id}};
  for (const auto& [key, id] : ids) {
    if (id >= 0) writer.set(key, GgufValue::u32(static_cast<uint32_t>(id)));
  }
  writer.set(kGgufAddBos, GgufValue::boolean(spec.add_bos));
  writer.set(kGgufAddEos, GgufValue::boolean(spec.add_eos));
  writer.set(kGgufAddSpacePrefix, GgufValue::boolean(spec.add_dummy_prefix));
  writer.set(kGgufRemoveExtraWhitespaces, GgufValue::boolean(spec.remove_extra_whitespaces));
}

}  // namespace tercet
