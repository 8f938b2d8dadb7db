// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "learn/data/document_source.h"

namespace tercet {

// Which documents are held out for validation: those whose hash of (index, seed) lies below the
// fraction, so that the choice depends on nothing else.
class SplitRule {
 public:
  // fraction: in [0, 1); 0 holds nothing out. Throws kUsage otherwise.
  SplitRule(uint64_t seed, double fraction);

  bool is_validation(uint64_t document) const;
  // Bytes of the only document that go to training; empty unless the corpus is one document.
  std::optional<uint64_t> cut_at_byte() const { return cut_at_byte_; }

 private:
  friend SplitRule plan_split(const std::vector<std::filesystem::path>&, const CorpusOptions&,
                              SplitRule, const std::atomic<bool>*);
  double hash(uint64_t document) const;  // in [0, 1)

  uint64_t seed_;
  double fraction_;
  std::optional<uint64_t> exception_;  // a document that changes sides so that neither is empty
  std::optional<uint64_t> cut_at_byte_;
};

// `rule`, made to leave neither side empty: reads the corpus until both sides have a document
// (soon, for a large corpus). When all hash to one side, one changes over; a single document is
// cut. Returns early when *stop becomes true.
SplitRule plan_split(const std::vector<std::filesystem::path>& inputs, const CorpusOptions& options,
                     SplitRule rule, const std::atomic<bool>* stop);

}  // namespace tercet
