// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tokenizer/vocabulary.h"

namespace tercet {

// The tokenizer.ggml.* keys of a SentencePiece vocabulary (tokenizer.ggml.model = "llama"), in both
// directions. Reading throws kBadInput naming file and key when keys disagree.
TokenizerSpec read_gguf_vocabulary(const GgufFile& file);
void write_gguf_vocabulary(const TokenizerSpec& spec, GgufWriter& writer);

}  // namespace tercet
