// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace tercet {

// Byte-pair encoding by piece scores, as SentencePiece defines it: of all adjacent pairs whose
// concatenation is a piece, the one with the highest score merges first, the leftmost of equals.
// text: normalized, spaces written as U+2581; any bytes. O(n (log n + l)) for n
// bytes of text and pieces of at most l, beside what Vocabulary::match_user_defined() takes.
std::vector<int32_t> bpe_encode(const Vocabulary& vocabulary, std::string_view text);

}  // namespace tercet
