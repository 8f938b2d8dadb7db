// SPDX-License-Identifier: Apache-2.0
#include "cli/common/sparkline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace tercet::cli {
namespace {

constexpr int kHeights = 8;
constexpr std::array<const char*, kHeights> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<const char*, kHeights> kAscii = {"_", ".", "-", "~", "=", "+", "*", "#"};

}  // namespace

void Series::add(double value) {
  if (!std::isfinite(value)) return;
  open_sum_ += value;
  if (++open_count_ < weight_) return;
  values_.push_back(open_sum_ / static_cast<double>(open_count_));
  open_sum_ = 0;
  open_count_ = 0;
  if (values_.size() < kMost) return;
  for (size_t i = 0; i < kMost / 2; ++i) values_[i] = (values_[2 * i] + values_[2 * i + 1]) / 2;
  values_.resize(kMost / 2);
  weight_ *= 2;
}

std::vector<double> Series::means(size_t count) const {
  count = std::min(count, values_.size());
  std::vector<double> out;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * values_.size() / count;
    const size_t end = (i + 1) * values_.size() / count;
    out.push_back(std::accumulate(values_.begin() + begin, values_.begin() + end, 0.0) /
                  static_cast<double>(end - begin));
  }
  return out;
}

std::string sparkline(const std::vector<double>& values, bool unicode) {
  if (values.empty()) return "";
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double range = *high - *low;
  std::string out;
  for (const double value : values) {
    const double share = range > 0 ? (value - *low) / range : 0;
    const auto height = static_cast<size_t>(std::lround(share * (kHeights - 1)));
    out += (unicode ? kBlocks : kAscii)[height];
  }
  return out;
}

}  // namespace tercet::cli
