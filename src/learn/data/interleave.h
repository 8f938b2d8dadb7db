// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tercet {

// Deals the places 0, 1, 2, ... of a sequence out to several parts by weight, evenly: among any n
// first places, part k has its share of n within k / 2 + 1. A function of the place alone, in
// constant memory. The first part takes its share of all places at equal distances, the second its
// share of the places that remain, and so on.
class Interleave {
 public:
  // weights: at least one, each at least a millionth of their sum; they need not add up to 1.
  explicit Interleave(std::span<const double> weights);

  struct Place {
    size_t part = 0;
    uint64_t index = 0;  // how many places before this one are of the same part
  };
  Place at(uint64_t place) const;
  // How many of the first `places` are of `part`.
  uint64_t count(size_t part, uint64_t places) const;

 private:
  std::vector<uint64_t> shares_;  // of what earlier parts leave, times 2^32; none for the last part
};

}  // namespace tercet
