// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tercet::learn {

// Elements [begin, end) of a parameter in its flat order.
struct Piece {
  size_t parameter = 0;
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

// What travels as one message and what one rank keeps the optimizer's state of.
struct Bucket {
  int64_t owner = 0;
  int64_t elements = 0;
  std::vector<Piece> pieces;
};

// Cuts all parameters' elements into buckets of one size, `largest` at most (rounded up to 16); the
// last may be smaller. They begin with the last parameter, whose gradient is complete first, and
// the ranks own them in turns: shares are equal, and no rank is the one that all send to for long.
// A parameter may lie in several buckets.
std::vector<Bucket> plan_shards(const std::vector<int64_t>& sizes, int64_t ranks, int64_t largest);

}  // namespace tercet::learn
