// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/merge_table.h"

namespace tercet {

// Merges a long word in O(n log n), where looking at all pairs each time would be quadratic. Keeps
// its buffers from word to word.
class HeapMerger {
 public:
  // Replaces `ids`, fewer than 2^31, by what remains when no pair merges any more.
  void merge(const MergeTable& table, std::vector<int32_t>& ids);

  // Gives back what one huge word needed.
  void shrink() {
    links_ = {};
    agenda_ = {};
  }

 private:
  static constexpr int32_t kNone = -1;
  struct Link {
    int32_t previous = kNone;
    int32_t next = kNone;
  };

  uint32_t rank_at(int32_t left) const;
  void propose(int32_t left);
  void merge_pair(int32_t left);

  const MergeTable* table_ = nullptr;
  std::vector<int32_t>* ids_ = nullptr;
  std::vector<Link> links_;  // between the ids that remain
  // A heap of {rank, place of the left half}. An entry is stale when the pair that stands there now
  // has another rank.
  std::vector<uint64_t> agenda_;
};

}  // namespace tercet
