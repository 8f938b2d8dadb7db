// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

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

}  // namespace tercet
