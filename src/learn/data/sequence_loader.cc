// SPDX-License-Identifier: Apache-2.0
#include "learn/data/sequence_loader.h"

#include <algorithm>

#include "core/error.h"
#include "learn/data/hash.h"
#include "learn/data/permutation.h"

namespace tercet {
namespace {

constexpr uint64_t kOrderStream = 0x6F72646572;  // keeps the draws of an epoch apart
constexpr uint64_t kOffsetStream = 0x6F6666736574;

std::vector<double> weights_of(std::span<const WeightedSplit> splits) {
  std::vector<double> weights;
  for (const WeightedSplit& split : splits) weights.push_back(split.weight);
  return weights;
}

}  // namespace

WindowOrder::WindowOrder(uint64_t tokens, uint64_t seq_len, uint64_t seed)
    : seq_len_(seq_len), seed_(seed) {
  const uint64_t targets = tokens - 1;
  largest_offset_ = std::min(seq_len_ - 1, targets - seq_len_);
  windows_ = (targets - largest_offset_) / seq_len_;
}

uint64_t WindowOrder::begin(uint64_t index) const {
  const uint64_t epoch = index / windows_;
  const uint64_t epoch_seed = mix64(seed_) ^ mix64(~epoch);
  const Permutation order(windows_, epoch_seed ^ kOrderStream);
  const uint64_t offset = mix64(epoch_seed ^ kOffsetStream) % (largest_offset_ + 1);
  return offset + order(index % windows_) * seq_len_;
}

SequenceLoader::SequenceLoader(std::span<const WeightedSplit> splits, int64_t seq_len,
                               uint64_t seed)
    : seq_len_(static_cast<uint64_t>(seq_len)), interleave_(weights_of(splits)) {
  if (seq_len < 1) fail(ErrorCode::kUsage, "the sequence length {} must be at least 1", seq_len);
  for (const WeightedSplit& weighted : splits) {
    const TokenDataset& split = *weighted.split;
    if (split.size() < seq_len_ + 1) {
      fail(ErrorCode::kBadInput,
           "'{}': the training split has {} tokens, fewer than one window of {}; use more text or "
           "a shorter sequence",
           split.directory().string(), split.size(), seq_len_ + 1);
    }
    // Data sets of equal size are not to be read in step.
    const uint64_t stream = splits_.empty() ? seed : seed ^ mix64(splits_.size());
    orders_.emplace_back(split.size(), seq_len_, stream);
    splits_.push_back(&split);
  }
}

void SequenceLoader::load(uint64_t position, int64_t* tokens_out) const {
  const auto [part, index] = interleave_.at(position);
  splits_[part]->copy(orders_[part].begin(index), seq_len_ + 1, tokens_out);
}

void SequenceLoader::will_need(uint64_t position) const {
  const auto [part, index] = interleave_.at(position);
  splits_[part]->will_need(orders_[part].begin(index), seq_len_ + 1);
}

double SequenceLoader::epochs(size_t split, uint64_t positions) const {
  return static_cast<double>(interleave_.count(split, positions)) /
         static_cast<double>(windows_per_epoch(split));
}

}  // namespace tercet
