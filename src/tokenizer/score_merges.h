// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace tercet {

// The ids of the halves of each merge, the first merging first, with which ranked merges give the
// ids that SentencePiece's scores give: the way back from sentencepiece_scores(). Pieces must be
// UTF-8 and differ in their texts. Throws kUnsupported naming the piece where no order can.
std::vector<std::pair<int32_t, int32_t>> merges_from_scores(const Vocabulary& vocabulary);

}  // namespace tercet
