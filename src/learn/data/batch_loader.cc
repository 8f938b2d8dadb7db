// SPDX-License-Identifier: Apache-2.0
#include "learn/data/batch_loader.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/error.h"
#include "learn/data/hash.h"

namespace tercet {
namespace {

constexpr uint64_t kRounds = 6;
constexpr uint64_t kOrderStream = 0x6F72646572;  // keeps the draws of an epoch apart
constexpr uint64_t kOffsetStream = 0x6F6666736574;

}  // namespace

Permutation::Permutation(uint64_t count, uint64_t seed)
    : count_(count),
      seed_(seed),
      half_bits_((static_cast<int>(std::bit_width(count - 1)) + 1) / 2) {}

uint64_t Permutation::operator()(uint64_t index) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  do {
    uint64_t left = index >> half_bits_;
    uint64_t right = index & mask;
    for (uint64_t round = 0; round < kRounds; ++round) {
      const uint64_t scattered = mix64(mix64(seed_ + round) ^ right) & mask;
      left = std::exchange(right, left ^ scattered);
    }
    index = (left << half_bits_) | right;
  } while (index >= count_);
  return index;
}

BatchLoader::BatchLoader(const TokenDataset& dataset, int64_t batch, int64_t seq_len, uint64_t seed)
    : dataset_(&dataset),
      batch_(static_cast<uint64_t>(batch)),
      seq_len_(static_cast<uint64_t>(seq_len)),
      seed_(seed) {
  if (batch < 1 || seq_len < 1) {
    fail(ErrorCode::kUsage, "batch {} and sequence length {} must be at least 1", batch, seq_len);
  }
  if (dataset.size() < seq_len_ + 1) {
    fail(
        ErrorCode::kBadInput,
        "the split has {} tokens, fewer than one window of {}; use more text or a shorter sequence",
        dataset.size(), seq_len_ + 1);
  }
  const uint64_t targets = dataset.size() - 1;
  largest_offset_ = std::min(seq_len_ - 1, targets - seq_len_);
  windows_ = (targets - largest_offset_) / seq_len_;
}

void BatchLoader::load(uint64_t batch_index, int64_t* tokens_out) const {
  for (uint64_t row = 0; row < batch_; ++row) {
    const uint64_t position = batch_index * batch_ + row;
    const uint64_t epoch = position / windows_;
    const uint64_t epoch_seed = mix64(seed_) ^ mix64(~epoch);
    const Permutation order(windows_, epoch_seed ^ kOrderStream);
    const uint64_t offset = mix64(epoch_seed ^ kOffsetStream) % (largest_offset_ + 1);
    const uint64_t begin = offset + order(position % windows_) * seq_len_;
    dataset_->copy(begin, seq_len_ + 1, tokens_out + row * (seq_len_ + 1));
  }
}

double BatchLoader::epochs(uint64_t batches) const {
  return static_cast<double>(batches) * static_cast<double>(batch_) / static_cast<double>(windows_);
}

}  // namespace tercet
