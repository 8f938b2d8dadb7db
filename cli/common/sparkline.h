// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace tercet::cli {

// A long series of numbers in bounded memory: from a few hundred on, neighbours are averaged.
class Series {
 public:
  // Not finite ones are left out.
  void add(double value);
  // All of it as the means of at most `count` equally long parts, oldest first.
  std::vector<double> means(size_t count) const;

 private:
  static constexpr size_t kMost = 512;
  std::vector<double> values_;  // each the mean of `weight_` numbers
  size_t weight_ = 1;
  double open_sum_ = 0;  // of numbers that are not yet `weight_` many
  size_t open_count_ = 0;
};

// The values as bars of eight heights, one column each, from the lowest (the lowest bar) to the
// highest: block characters, or with `unicode` false ASCII.
std::string sparkline(const std::vector<double>& values, bool unicode);

}  // namespace tercet::cli
