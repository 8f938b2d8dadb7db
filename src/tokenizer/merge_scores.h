// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "tokenizer/bpe_model.h"
#include "tokenizer/hf_codec.h"

namespace tercet {

struct SentencePieceScores {
  std::vector<float> values;  // of each token
  bool leading_space = false;
};

// Scores with which SentencePiece's BPE, which joins any two neighbours whose text is a piece, the
// best score first, gives the ids that the ranked merges give. Nothing when no scores can: for
// byte-level models, for other normalizers than those of converted SentencePiece models, and where
// a text can be reached that merges do not reach.
std::optional<SentencePieceScores> sentencepiece_scores(const HfSpec& spec, const BpeModel& model);

}  // namespace tercet
