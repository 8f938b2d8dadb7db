// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "learn/data/dataset.h"
#include "learn/data/interleave.h"

namespace tercet {

// The order of the windows of seq_len + 1 tokens of one split: inputs and, shifted by one, targets.
// An epoch visits the windows once each, in an order and from an offset that depend on (seed,
// epoch) only; neighbours share one token, so that every token between the ends is a target once
// (up to seq_len - 1 tokens at the ends, others in each epoch, are left out).
class WindowOrder {
 public:
  // tokens > seq_len >= 1.
  WindowOrder(uint64_t tokens, uint64_t seq_len, uint64_t seed);

  uint64_t per_epoch() const { return windows_; }
  // Where the window at `index` of the epochs laid end to end begins in the split.
  uint64_t begin(uint64_t index) const;

 private:
  uint64_t seq_len_;
  uint64_t seed_;
  uint64_t largest_offset_;
  uint64_t windows_;
};

// A split that sequences are taken from, and its weight among the others.
struct WeightedSplit {
  const TokenDataset* split = nullptr;
  double weight = 1;
};

// The sequences that a run trains on. Sequence i of step s is that at the position s * batch_size +
// i, and what lies there is a function of (seed, position) alone: not of the micro-batches that a
// step is cut into, nor of how many processes share it, nor of what was loaded before. So a run
// resumes from the number of its step. Several splits are dealt out by weight (Interleave), each
// going through all its windows before it begins its next epoch. Immutable; may be used by several
// threads.
class SequenceLoader {
 public:
  // The splits must outlive the loader; the order in which they are given matters. Throws kUsage
  // for seq_len < 1, kBadInput naming the data set when a split has fewer than seq_len + 1 tokens.
  SequenceLoader(std::span<const WeightedSplit> splits, int64_t seq_len, uint64_t seed);

  int64_t sequence_length() const { return static_cast<int64_t>(seq_len_); }
  // tokens_out: [seq_len + 1]. Throws what TokenDataset::copy throws.
  void load(uint64_t position, int64_t* tokens_out) const;
  // Lets the system begin to fetch what load() will read; returns at once.
  void will_need(uint64_t position) const;

  uint64_t windows_per_epoch(size_t split) const { return orders_[split].per_epoch(); }
  // How many epochs of a split the first `positions` are.
  double epochs(size_t split, uint64_t positions) const;

 private:
  uint64_t seq_len_;
  std::vector<const TokenDataset*> splits_;
  std::vector<WindowOrder> orders_;
  Interleave interleave_;
};

}  // namespace tercet
