// SPDX-License-Identifier: Apache-2.0
#include "learn/data/split.h"

#include <algorithm>

#include "core/error.h"
#include "learn/data/corpus.h"
#include "learn/data/hash.h"

namespace tercet {

SplitRule::SplitRule(uint64_t seed, double fraction) : seed_(seed), fraction_(fraction) {
  if (!(fraction >= 0 && fraction < 1)) {
    fail(ErrorCode::kUsage, "the validation fraction {} must be at least 0 and below 1", fraction);
  }
}

double SplitRule::hash(uint64_t document) const {
  return static_cast<double>(mix64(mix64(seed_) ^ document) >> 11) * 0x1p-53;
}

bool SplitRule::is_validation(uint64_t document) const {
  return (hash(document) < fraction_) != (exception_ == document);
}

SplitRule plan_split(const std::vector<std::filesystem::path>& inputs, const CorpusOptions& options,
                     SplitRule rule, const std::atomic<bool>* stop) {
  if (rule.fraction_ == 0) return rule;
  CorpusReader corpus(inputs, options);
  DocumentPiece piece;
  uint64_t documents = 0;
  uint64_t bytes = 0;
  uint64_t smallest = 0;
  uint64_t largest = 0;
  while (corpus.next(piece)) {
    if (stop != nullptr && stop->load()) return rule;
    bytes += piece.text.size();
    if (!piece.last) continue;
    if (rule.hash(documents) < rule.hash(smallest)) smallest = documents;
    if (rule.hash(documents) > rule.hash(largest)) largest = documents;
    ++documents;
    if (rule.is_validation(smallest) && !rule.is_validation(largest)) return rule;
  }
  if (documents == 1) {
    const auto cut = static_cast<uint64_t>(static_cast<double>(bytes) * (1 - rule.fraction_));
    rule.cut_at_byte_ = std::clamp<uint64_t>(cut, 1, std::max<uint64_t>(bytes, 2) - 1);
    // The document itself counts as training text; its end is taken from there.
    if (rule.is_validation(0)) rule.exception_ = 0;
  } else {
    rule.exception_ = rule.is_validation(smallest) ? largest : smallest;
  }
  return rule;
}

}  // namespace tercet
