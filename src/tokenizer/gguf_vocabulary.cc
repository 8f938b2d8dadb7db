// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/gguf_vocabulary.h"

#include "core/error.h"
#include "formats/gguf.h"
#include "formats/printable.h"

namespace tercet {
namespace {

constexpr const char* kModel = "tokenizer.ggml.model";
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kScores = "tokenizer.ggml.scores";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kUnknownId = "tokenizer.ggml.unknown_token_id";
constexpr const char* kBosId = "tokenizer.ggml.bos_token_id";
constexpr const char* kEosId = "tokenizer.ggml.eos_token_id";
constexpr const char* kAddBos = "tokenizer.ggml.add_bos_token";
constexpr const char* kAddEos = "tokenizer.ggml.add_eos_token";
constexpr const char* kAddSpacePrefix = "tokenizer.ggml.add_space_prefix";
constexpr const char* kRemoveExtraWhitespaces = "tokenizer.ggml.remove_extra_whitespaces";
constexpr const char* kCharsMap = "tokenizer.ggml.precompiled_charsmap";

std::vector<Piece> read_pieces(const GgufFile& file) {
  const std::string name = file.path().string();
  const std::vector<std::string>& tokens = file.strings(kTokens);
  const std::vector<double> scores = file.reals(kScores);
  const std::vector<int64_t> types = file.integers(kTypes);
  if (scores.size() != tokens.size() || types.size() != tokens.size()) {
    fail(ErrorCode::kBadInput, "'{}': {} has {} entries, {} {} and {} {}; they must be equal", name,
         kTokens, tokens.size(), kScores, scores.size(), kTypes, types.size());
  }
  std::vector<Piece> pieces(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] < 1 || types[id] > 6) {
      fail(ErrorCode::kBadInput, "'{}': {}[{}] = {} is not a piece type (1 to 6)", name, kTypes, id,
           types[id]);
    }
    pieces[id] = {tokens[id], static_cast<float>(scores[id]), static_cast<PieceType>(types[id])};
  }
  return pieces;
}

// The id under `key`; when the key is absent, `customary` if that piece has the type expected.
int64_t read_id(const GgufFile& file, const char* key, const std::vector<Piece>& pieces,
                size_t customary, PieceType type) {
  if (file.find(key) != nullptr) {
    const int64_t id = file.integer(key);
    if (id < 0 || id >= static_cast<int64_t>(pieces.size())) {
      fail(ErrorCode::kBadInput, "'{}': {} = {} is outside the vocabulary of {}",
           file.path().string(), key, id, pieces.size());
    }
    return id;
  }
  const bool fits = customary < pieces.size() && pieces[customary].type == type;
  return fits ? static_cast<int64_t>(customary) : -1;
}

}  // namespace

TokenizerSpec read_gguf_vocabulary(const GgufFile& file) {
  const std::string& model = file.string(kModel);
  if (model != "llama") {
    fail(ErrorCode::kUnsupported, "'{}': {} = '{}' is not supported, only 'llama' is",
         file.path().string(), kModel, printable(model));
  }
  if (file.find(kCharsMap) != nullptr) {
    fail(ErrorCode::kUnsupported, "'{}': {} is not supported, only identity normalization is",
         file.path().string(), kCharsMap);
  }
  TokenizerSpec spec;
  spec.origin = file.path().string();
  spec.pieces = read_pieces(file);
  spec.unknown_id = read_id(file, kUnknownId, spec.pieces, 0, PieceType::kUnknown);
  spec.bos_id = read_id(file, kBosId, spec.pieces, 1, PieceType::kControl);
  spec.eos_id = read_id(file, kEosId, spec.pieces, 2, PieceType::kControl);
  spec.add_bos = file.boolean_or(kAddBos, spec.bos_id >= 0);
  spec.add_dummy_prefix = file.boolean_or(kAddSpacePrefix, true);
  spec.remove_extra_whitespaces = file.boolean_or(kRemoveExtraWhitespaces, false);
  return spec;
}

void write_gguf_vocabulary(const TokenizerSpec& spec, GgufWriter& writer) {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const Piece& piece : spec.pieces) {
    tokens.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<int32_t>(piece.type));
  }
  writer.set(kModel, GgufValue::string("llama"));
  writer.set(kTokens, GgufValue::strings(std::move(tokens)));
  writer.set(kScores, GgufValue::f32s(scores));
  writer.set(kTypes, GgufValue::i32s(types));
  const std::pair<const char*, int64_t> ids[] = {
      {kUnknownId, spec.unknown_id}, {kBosId, spec.bos_id}, {kEosId, spec.eos_id}};
  for (const auto& [key, id] : ids) {
    if (id >= 0) writer.set(key, GgufValue::u32(static_cast<uint32_t>(id)));
  }
  writer.set(kAddBos, GgufValue::boolean(spec.add_bos));
  writer.set(kAddEos, GgufValue::boolean(false));
  writer.set(kAddSpacePrefix, GgufValue::boolean(spec.add_dummy_prefix));
  writer.set(kRemoveExtraWhitespaces, GgufValue::boolean(spec.remove_extra_whitespaces));
}

}  // namespace tercet
