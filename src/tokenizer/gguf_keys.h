// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace tercet {

// Keys of a vocabulary in GGUF metadata.
inline constexpr const char* kGgufTokenizerModel = "tokenizer.ggml.model";
inline constexpr const char* kGgufTokenizerPre = "tokenizer.ggml.pre";
inline constexpr const char* kGgufTokens = "tokenizer.ggml.tokens";
inline constexpr const char* kGgufScores = "tokenizer.ggml.scores";
inline constexpr const char* kGgufTokenTypes = "tokenizer.ggml.token_type";
inline constexpr const char* kGgufMerges = "tokenizer.ggml.merges";
inline constexpr const char* kGgufUnknownId = "tokenizer.ggml.unknown_token_id";
inline constexpr const char* kGgufBosId = "tokenizer.ggml.bos_token_id";
inline constexpr const char* kGgufEosId = "tokenizer.ggml.eos_token_id";
inline constexpr const char* kGgufPaddingId = "tokenizer.ggml.padding_token_id";
inline constexpr const char* kGgufEotId = "tokenizer.ggml.eot_token_id";
inline constexpr const char* kGgufEomId = "tokenizer.ggml.eom_token_id";
inline constexpr const char* kGgufAddBos = "tokenizer.ggml.add_bos_token";
inline constexpr const char* kGgufAddEos = "tokenizer.ggml.add_eos_token";
inline constexpr const char* kGgufAddSpacePrefix = "tokenizer.ggml.add_space_prefix";
inline constexpr const char* kGgufRemoveExtraWhitespaces =
    "tokenizer.ggml.remove_extra_whitespaces";
inline constexpr const char* kGgufCharsMap = "tokenizer.ggml.precompiled_charsmap";
// A whole tokenizer.json; other programs read the keys above.
inline constexpr const char* kGgufHuggingFaceJson = "tokenizer.huggingface.json";

// The texts and types of kGgufTokens and kGgufTokenTypes. Throws kBadInput naming file and key when
// the arrays differ in length or a type is unknown.
std::vector<Piece> read_gguf_pieces(const GgufFile& file);
// The id under `key`, -1 when it is absent. Throws kBadInput unless it is in the vocabulary.
int32_t read_gguf_id(const GgufFile& file, const char* key, size_t vocab_size);
// Ids beside EOS that end a turn or a message.
std::vector<int32_t> read_gguf_other_ends(const GgufFile& file, size_t vocab_size);

}  // namespace tercet
