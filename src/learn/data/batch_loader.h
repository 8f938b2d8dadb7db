// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "learn/data/dataset.h"

namespace tercet {

// A bijection of [0, count) chosen by `seed`, in constant memory: a Feistel network over the next
// power of four, walked until it lands inside (Black, Rogaway 2002, cycle walking).
class Permutation {
 public:
  Permutation(uint64_t count, uint64_t seed);  // count >= 1
  uint64_t operator()(uint64_t index) const;   // index < count

 private:
  uint64_t count_;
  uint64_t seed_;
  int half_bits_;
};

// Batches of windows of seq_len + 1 tokens: inputs and, shifted by one, targets. An epoch visits
// the windows of the split once each, in an order and from an offset that depend on (seed, epoch)
// only; neighbours share one token, so that every token between the ends is a target once (up to
// seq_len - 1 tokens at the ends, others in each epoch, are left out). A position is one number,
// the batch index, so a run resumes from that number alone. Immutable; load() may be called from
// several threads.
class BatchLoader {
 public:
  // `dataset` must outlive the loader. Throws kUsage for batch or seq_len < 1, kBadInput when the
  // split has fewer than seq_len + 1 tokens.
  BatchLoader(const TokenDataset& dataset, int64_t batch, int64_t seq_len, uint64_t seed);

  // tokens_out: [batch, seq_len + 1], row-major.
  void load(uint64_t batch_index, int64_t* tokens_out) const;

  uint64_t windows_per_epoch() const { return windows_; }
  double epochs(uint64_t batches) const;  // how many epochs so many batches are

 private:
  const TokenDataset* dataset_;
  uint64_t batch_;
  uint64_t seq_len_;
  uint64_t seed_;
  uint64_t largest_offset_;
  uint64_t windows_;
};

}  // namespace tercet
