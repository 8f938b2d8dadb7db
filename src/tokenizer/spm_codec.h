// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "tokenizer/codec.h"
#include "tokenizer/vocabulary.h"

namespace tercet {

// SentencePiece's BPE by scores, from a tokenizer.model or a GGUF vocabulary "llama". Throws as
// Vocabulary's constructor does.
std::unique_ptr<const Codec> make_spm_codec(TokenizerSpec spec);

}  // namespace tercet
