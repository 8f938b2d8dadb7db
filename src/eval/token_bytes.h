// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace tercet {

// Bytes of text behind each token id, [vocab_size]: what bits per byte divides by. Control and
// unknown pieces count none; the space that SentencePiece puts before a text counts as one.
std::vector<int32_t> token_bytes(const Tokenizer& tokenizer);

}  // namespace tercet
