// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/weight_counts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "core/rng.h"

namespace tercet::learn {
namespace {

std::vector<float> random_weights(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> weights(count);
  for (float& weight : weights) {
    weight = static_cast<float>(0.05 * (rng.uniform() + rng.uniform() + rng.uniform() - 1.4));
  }
  return weights;
}

double mean_magnitude(const std::vector<float>& weights) {
  double sum = 0;
  for (const float weight : weights) sum += std::fabs(weight);
  return sum / static_cast<double>(weights.size());
}

// By the papers' formulas, in double: ternary weights turn at half of gamma, binary ones at the
// mean.
std::vector<int> direct_codes(const std::vector<float>& weights, LinearKind kind) {
  const double gamma = mean_magnitude(weights);
  const double mean =
      std::accumulate(weights.begin(), weights.end(), 0.0) / static_cast<double>(weights.size());
  std::vector<int> codes;
  for (const float weight : weights) {
    if (kind == LinearKind::kB1) {
      codes.push_back(weight > mean ? 1 : -1);
    } else {
      codes.push_back(weight > 0.5 * gamma ? 1 : weight < -0.5 * gamma ? -1 : 0);
    }
  }
  return codes;
}

// Rows that are no multiple of a word, a row of one word and more.
struct Shape {
  int64_t rows, cols;
};
constexpr Shape kShapes[] = {{1, 1}, {3, 31}, {5, 32}, {7, 33}, {2, 172}, {64, 100}};

TEST(WeightCounts, AgreeWithADirectCount) {
  for (const LinearKind kind : {LinearKind::kB158, LinearKind::kB1}) {
    for (const auto& [rows, cols] : kShapes) {
      const auto size = static_cast<size_t>(rows * cols);
      CodeMemory memory(rows, cols);
      std::vector<int> before(size, 0);
      for (uint64_t seed = 1; seed <= 3; ++seed) {
        const std::vector<float> weights = random_weights(size, seed);
        const WeightCounts counts = count_weights(weights, rows, cols, kind, &memory);
        const std::vector<int> codes = direct_codes(weights, kind);
        EXPECT_EQ(counts.weights, rows * cols);
        EXPECT_EQ(counts.minus, std::count(codes.begin(), codes.end(), -1));
        EXPECT_EQ(counts.zero, std::count(codes.begin(), codes.end(), 0));
        EXPECT_EQ(counts.plus, std::count(codes.begin(), codes.end(), 1));
        int64_t changed = 0;
        for (size_t i = 0; i < size; ++i) changed += codes[i] != before[i] ? 1 : 0;
        EXPECT_EQ(counts.changed, changed) << rows << " x " << cols << " seed " << seed;
        before = codes;
      }
      const WeightCounts again = count_weights(random_weights(size, 3), rows, cols, kind, &memory);
      EXPECT_EQ(again.changed, 0);
    }
  }
}

TEST(WeightCounts, GroupsAreCountedEachByItself) {
  std::vector<float> left = random_weights(5 * 32, 4), right = random_weights(5 * 32, 5);
  for (float& weight : right) weight = 3 * weight + 1;
  std::vector<float> both;
  for (size_t row = 0; row < 5; ++row) {
    for (const auto* half : {&left, &right}) {
      both.insert(both.end(), half->begin() + static_cast<std::ptrdiff_t>(32 * row),
                  half->begin() + static_cast<std::ptrdiff_t>(32 * (row + 1)));
    }
  }
  CodeMemory memory(5, 64), of_left(5, 32), of_right(5, 32);
  const WeightCounts counts = count_weights(both, 5, 64, LinearKind::kB1, &memory, 2);
  WeightCounts expected = count_weights(left, 5, 32, LinearKind::kB1, &of_left);
  expected += count_weights(right, 5, 32, LinearKind::kB1, &of_right);
  EXPECT_EQ(counts.plus, expected.plus);
  EXPECT_EQ(counts.minus, expected.minus);
  EXPECT_EQ(counts.histogram, expected.histogram);
  EXPECT_NE(counts.plus, count_weights(both, 5, 64, LinearKind::kB1, &memory).plus);
}

TEST(WeightCounts, TheHistogramIsInUnitsOfTheScale) {
  const std::vector<float> weights = random_weights(64 * 100, 9);
  const WeightCounts counts = count_weights(weights, 64, 100, LinearKind::kDense, nullptr);
  EXPECT_EQ(counts.minus + counts.zero + counts.plus + counts.changed, 0);
  EXPECT_EQ(std::accumulate(counts.histogram.begin(), counts.histogram.end(), int64_t{0}), 6400);
  const double gamma = mean_magnitude(weights);
  // Bins are cut in f32, so weights at an edge may fall to its other side.
  for (size_t bin = 1; bin + 1 < counts.histogram.size(); ++bin) {
    const double low = -4 + 0.1 * static_cast<double>(bin - 1);
    const auto within = [&](double slack) {
      return std::count_if(weights.begin(), weights.end(), [&](float w) {
        return w / gamma >= low - slack && w / gamma < low + 0.1 + slack;
      });
    };
    EXPECT_LE(counts.histogram[bin], within(1e-5));
    EXPECT_GE(counts.histogram[bin], within(-1e-5));
  }
}

TEST(WeightCounts, OutliersFallIntoTheOuterBins) {
  std::vector<float> weights(1000, 0.001f);
  weights[0] = -1;
  weights[1] = 1;
  weights[2] = std::nanf("");
  const WeightCounts counts = count_weights({weights.data(), 2}, 1, 2, LinearKind::kDense, nullptr);
  EXPECT_EQ(counts.histogram[31], 1);  // -1: ten bins to the left of 0
  weights[2] = 0.001f;
  const WeightCounts wide = count_weights(weights, 10, 100, LinearKind::kDense, nullptr);
  EXPECT_EQ(wide.histogram.front(), 1);
  EXPECT_EQ(wide.histogram.back(), 1);
  weights[2] = std::nanf("");
  const WeightCounts broken = count_weights(weights, 10, 100, LinearKind::kDense, nullptr);
  EXPECT_EQ(std::accumulate(broken.histogram.begin(), broken.histogram.end(), int64_t{0}), 1000);
}

}  // namespace
}  // namespace tercet::learn
