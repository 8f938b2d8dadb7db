// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/window_order.h"

#include <cmath>
#include <numeric>
#include <utility>

namespace tercet::learn {

WindowOrder::WindowOrder(std::vector<int64_t> rows, uint64_t seed)
    : rows_(std::move(rows)), order_(rows_.size()), rng_(seed) {
  std::iota(order_.begin(), order_.end(), size_t{0});
}

size_t WindowOrder::next() {
  if (taken_ == order_.size()) taken_ = 0;
  const size_t left = order_.size() - taken_;
  std::swap(order_[taken_], order_[taken_ + rng_.below(left)]);
  return order_[taken_++];
}

std::vector<size_t> WindowOrder::draw(int64_t tokens) {
  std::vector<size_t> drawn;
  int64_t has = 0;
  while (has < tokens || drawn.empty()) {
    drawn.push_back(next());
    has += rows_[drawn.back()];
  }
  return drawn;
}

// Multiples of the golden ratio spread evenly over [0, 1) for any number of windows and of ranks
// that these are dealt out to.
bool is_in_sample(size_t window, double share) {
  constexpr double kGolden = 0.6180339887498949;
  const double place = static_cast<double>(window) * kGolden;
  return place - std::floor(place) < share;
}

}  // namespace tercet::learn
