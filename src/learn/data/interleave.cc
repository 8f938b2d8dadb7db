// SPDX-License-Identifier: Apache-2.0
#include "learn/data/interleave.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tercet {
namespace {

constexpr uint64_t kHalf = uint64_t{1} << 31;
constexpr uint64_t kLow = 0xFFFFFFFFu;

// round(places * share / 2^32) without overflow: the pattern repeats after 2^32 places.
uint64_t taken(uint64_t places, uint64_t share) {
  return (places >> 32) * share + (((places & kLow) * share + kHalf) >> 32);
}

}  // namespace

Interleave::Interleave(std::span<const double> weights) {
  double left = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (const double weight : weights.first(weights.size() - 1)) {
    const auto share = static_cast<uint64_t>(std::llround(weight / left * 0x1p32));
    shares_.push_back(std::clamp<uint64_t>(share, 1, kLow));
    left -= weight;
  }
}

Interleave::Place Interleave::at(uint64_t place) const {
  for (size_t part = 0; part < shares_.size(); ++part) {
    const uint64_t before = taken(place, shares_[part]);
    if (taken(place + 1, shares_[part]) != before) return {part, before};
    place -= before;
  }
  return {shares_.size(), place};
}

uint64_t Interleave::count(size_t part, uint64_t places) const {
  for (size_t earlier = 0; earlier < part; ++earlier) places -= taken(places, shares_[earlier]);
  return part < shares_.size() ? taken(places, shares_[part]) : places;
}

}  // namespace tercet
