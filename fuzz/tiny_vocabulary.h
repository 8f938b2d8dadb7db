// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include "formats/gguf.h"
#include "hostile/gguf_bytes.h"
#include "tokenizer/tokenizer.h"

namespace tercet::fuzz {

// Byte pieces, a few merges that overlap, and no space in front of texts.
inline Tokenizer tiny_tokenizer() {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(fmt::format("<0x{:02X}>", byte));
    types.push_back(6);
  }
  for (const char* piece : {"\u2581", "t", "h", "e", "a", "n", "th", "he", "the", "\u2581the", "an",
                            "ana", "na", "\u2581\u2581", "\u4e2d", "\n\n", "aa", "aaa", "aaaa"}) {
    tokens.emplace_back(piece);
    types.push_back(1);
  }
  tokens.emplace_back("<|user|>");
  types.push_back(4);
  std::vector<float> scores;
  for (size_t id = 0; id < tokens.size(); ++id) scores.push_back(-static_cast<float>(id));
  const std::string bytes = hostile::GgufBytes()
                                .string("tokenizer.ggml.model", "llama")
                                .strings("tokenizer.ggml.tokens", tokens)
                                .numbers("tokenizer.ggml.scores", hostile::Meta::kF32, scores)
                                .numbers("tokenizer.ggml.token_type", hostile::Meta::kI32, types)
                                .boolean("tokenizer.ggml.add_space_prefix", false)
                                .bytes();
  return Tokenizer::from_gguf(GgufFile(hostile::as_bytes(bytes), "tiny.gguf"));
}

}  // namespace tercet::fuzz
