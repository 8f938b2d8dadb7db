// SPDX-License-Identifier: Apache-2.0
#include "learn/data/interleave.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace tercet {
namespace {

const std::vector<std::vector<double>> kWeights = {
    {1},       {0.5, 0.5}, {0.7, 0.3},           {1, 1e-6},
    {1e-6, 1}, {5, 3, 2},  {0.1, 0.2, 0.3, 0.4}, {9, 1, 1, 9, 80}};

TEST(Interleave, CountsWhatItDeals) {
  for (const std::vector<double>& weights : kWeights) {
    const Interleave interleave(weights);
    std::vector<uint64_t> dealt(weights.size());
    for (uint64_t place = 0; place < 5000; ++place) {
      for (size_t part = 0; part < weights.size(); ++part) {
        ASSERT_EQ(interleave.count(part, place), dealt[part]);
      }
      const auto [part, index] = interleave.at(place);
      ASSERT_EQ(index, dealt[part]++);
    }
  }
}

TEST(Interleave, SharesAreEvenOverEveryStretch) {
  for (const std::vector<double>& weights : kWeights) {
    const Interleave interleave(weights);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (size_t part = 0; part < weights.size(); ++part) {
      for (uint64_t places = 0; places < 20'000; places += 7) {
        const double expected = static_cast<double>(places) * weights[part] / sum;
        ASSERT_NEAR(static_cast<double>(interleave.count(part, places)), expected,
                    static_cast<double>(part) / 2 + 1);
      }
    }
  }
}

// The pattern goes on where a 32-bit count of places would overflow.
TEST(Interleave, LargePlaces) {
  const Interleave interleave(std::vector<double>{0.3, 0.5, 0.2});
  for (const uint64_t base : {uint64_t{1} << 32, (uint64_t{1} << 40) + 12345, uint64_t{3} << 32}) {
    std::vector<uint64_t> dealt;
    for (size_t part = 0; part < 3; ++part) dealt.push_back(interleave.count(part, base - 500));
    EXPECT_EQ(dealt[0] + dealt[1] + dealt[2], base - 500);
    EXPECT_NEAR(static_cast<double>(dealt[1]) / static_cast<double>(base - 500), 0.5, 1e-9);
    for (uint64_t place = base - 500; place < base + 500; ++place) {
      const auto [part, index] = interleave.at(place);
      ASSERT_EQ(index, dealt[part]++);
    }
  }
}

}  // namespace
}  // namespace tercet
