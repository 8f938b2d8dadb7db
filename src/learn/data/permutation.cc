// SPDX-License-Identifier: Apache-2.0
#include "learn/data/permutation.h"

#include <bit>
#include <utility>

#include "learn/data/hash.h"

namespace tercet {
namespace {

constexpr uint64_t kRounds = 6;

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

}  // namespace tercet
