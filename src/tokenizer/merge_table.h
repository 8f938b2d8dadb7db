// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "tokenizer/token_index.h"

namespace tercet {

// Which pairs of tokens merge, in what order, into what.
class MergeTable {
 public:
  static constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();
  struct Merge {
    uint32_t rank = kNoRank;  // the lowest merges first; kNoRank: the pair does not merge
    int32_t id = -1;
  };

  // `capacity`: how many pairs at most.
  explicit MergeTable(size_t capacity) : multiplier_(unpredictable_seed() | 1) {
    const size_t slots = std::bit_ceil(capacity + capacity / 2 + 8);
    slots_.resize(slots);
    shift_ = 64 - std::countr_zero(slots);
  }

  Merge find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t slot = slot_of(key);; ++slot) {
      const Slot& entry = slots_[slot & (slots_.size() - 1)];
      if (entry.key == key) return entry.merge;
      if (entry.key == kEmpty) return {};
    }
  }

  // A pair given again takes the later rank, as in the Rust tokenizers.
  void insert(int32_t left, int32_t right, Merge merge) {
    const uint64_t key = key_of(left, right);
    for (size_t slot = slot_of(key);; ++slot) {
      Slot& entry = slots_[slot & (slots_.size() - 1)];
      if (entry.key != key && entry.key != kEmpty) continue;
      entry = {key, merge};
      return;
    }
  }

 private:
  static constexpr uint64_t kEmpty = std::numeric_limits<uint64_t>::max();  // ids are not negative
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };

  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const { return key * multiplier_ >> shift_; }

  uint64_t multiplier_;
  int shift_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace tercet
