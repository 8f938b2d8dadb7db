// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bitset>
#include <cstdint>
#include <unordered_set>

namespace tercet {

// A set of pairs of code points.
class CharPairs {
 public:
  void insert(uint32_t left, uint32_t right) {
    if (left < kAscii && right < kAscii) {
      ascii_.set(left * kAscii + right);
    } else {
      others_.insert(uint64_t{left} << 32 | right);
    }
  }
  bool contains(uint32_t left, uint32_t right) const {
    if (left < kAscii && right < kAscii) return ascii_.test(left * kAscii + right);
    return others_.contains(uint64_t{left} << 32 | right);
  }

 private:
  static constexpr uint32_t kAscii = 128;
  std::bitset<kAscii * kAscii> ascii_;
  std::unordered_set<uint64_t> others_;
};

}  // namespace tercet
