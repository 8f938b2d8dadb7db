// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/rng.h"

namespace tercet::learn {

// The windows of a text in the order in which training takes them: at random, and none twice before
// all have come once.
class WindowOrder {
 public:
  // rows: tokens of each window. `rows` may be empty only if nothing is drawn.
  WindowOrder(std::vector<int64_t> rows, uint64_t seed);

  // The next windows, as many as it takes to have `tokens` tokens, one at least.
  std::vector<size_t> draw(int64_t tokens);

 private:
  size_t next();

  std::vector<int64_t> rows_;
  std::vector<size_t> order_;
  size_t taken_ = 0;  // of order_
  Rng rng_;
};

// Windows spread evenly over a text, about `share` of them, the first in any case.
bool is_in_sample(size_t window, double share);

}  // namespace tercet::learn
