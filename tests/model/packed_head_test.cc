// SPDX-License-Identifier: Apache-2.0
#include "model/packed_head.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"
#include "kernels/every_isa.h"

namespace tercet::test {
namespace {

struct Head {
  std::vector<float> values;  // [rows, cols]
  LinearWeights weights;

  Head(int64_t rows, int64_t cols) {
    Rng rng(static_cast<uint64_t>(rows + cols));
    for (int64_t i = 0; i < rows * cols; ++i) {
      const double sum = rng.uniform() + rng.uniform() + rng.uniform() - 1.5;
      values.push_back(static_cast<float>(sum * (1 + static_cast<double>(i / cols % 7))));
    }
    weights.name = "head";
    weights.type = StoredType::kF32;
    weights.rows = rows;
    weights.cols = cols;
    weights.row_stride = cols * static_cast<int64_t>(sizeof(float));
    weights.data = {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)};
  }
};

std::vector<float> random_input(int64_t tokens, int64_t cols) {
  Rng rng(9);
  std::vector<float> x(static_cast<size_t>(tokens * cols));
  for (float& value : x) value = static_cast<float>(rng.uniform() * 6 - 3);
  return x;
}

// The logits of a head whose rows are rounded to integers up to `largest`, in double.
std::vector<double> rounded_logits(const Head& head, const std::vector<float>& x, int64_t tokens,
                                   float largest) {
  const int64_t cols = head.weights.cols;
  std::vector<double> out;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t row = 0; row < head.weights.rows; ++row) {
      const float* values = head.values.data() + row * cols;
      float absmax = 0;
      for (int64_t c = 0; c < cols; ++c) absmax = std::max(absmax, std::abs(values[c]));
      const float scale = absmax / largest;
      double sum = 0;
      for (int64_t c = 0; c < cols; ++c) {
        sum += std::nearbyint(values[c] * (1 / scale)) * static_cast<double>(x[t * cols + c]);
      }
      out.push_back(sum * static_cast<double>(scale));
    }
  }
  return out;
}

double magnitude(const std::vector<double>& values) {
  double square = 0;
  for (const double value : values) square += value * value;
  return std::sqrt(square / static_cast<double>(values.size()));
}

float largest_integer(HeadPrecision precision) {
  return precision == HeadPrecision::kInt8   ? 119.0f
         : precision == HeadPrecision::kInt6 ? 29.0f
                                             : 7.0f;
}

TEST(PackedHead, EqualsTheRoundedWeightsOnEveryIsa) {
  for (const auto precision : {HeadPrecision::kInt8, HeadPrecision::kInt6, HeadPrecision::kInt4}) {
    for (const int64_t cols : {8, 37, 576}) {
      for (const int64_t tokens : {1, 3, 20}) {
        const Head head(101, cols);
        const std::vector<float> x = random_input(tokens, cols);
        const std::vector<double> expected =
            rounded_logits(head, x, tokens, largest_integer(precision));
        std::vector<float> first;
        on_every_isa([&](const KernelTable& table) {
          ThreadPool pool(2);
          const PackedHead packed(head.weights, precision, table, pool, [] {});
          PackedHead::Scratch scratch;
          std::vector<float> out(expected.size());
          packed.multiply(x.data(), tokens, pool, scratch, out.data());
          for (size_t i = 0; i < out.size(); ++i) {
            // Inputs are rounded to 16 bits.
            ASSERT_NEAR(out[i], expected[i], 2e-4 * magnitude(expected))
                << to_string(precision) << ", " << cols << " columns, " << tokens
                << " tokens, logit " << i;
          }
          if (first.empty()) first = out;
          EXPECT_EQ(std::memcmp(first.data(), out.data(), out.size() * sizeof(float)), 0);
        });
      }
    }
  }
}

// The best rows come out as by multiply(), bit for bit; the others are near.
TEST(PackedHead, TheTopHasAllBits) {
  for (const auto precision : {HeadPrecision::kInt8, HeadPrecision::kInt6}) {
    const Head head(3000, 256);
    ThreadPool pool(2);
    const PackedHead packed(head.weights, precision, select_kernels(""), pool, [] {});
    PackedHead::Scratch scratch;
    for (uint64_t seed = 0; seed < 5; ++seed) {
      Rng rng(seed);
      std::vector<float> x(256);
      // Like one row, so that the top stands out, or like none.
      for (size_t c = 0; c < x.size(); ++c) {
        x[c] = static_cast<float>(rng.uniform() - 0.5) +
               (seed % 2 == 0 ? head.values[256 * 99 + c] : 0);
      }
      std::vector<float> all(3000);
      std::vector<float> top(3000);
      packed.multiply(x.data(), 1, pool, scratch, all.data());
      packed.multiply_top(x.data(), 1, pool, scratch, top.data());
      std::vector<int> order(3000);
      std::iota(order.begin(), order.end(), 0);
      std::sort(order.begin(), order.end(), [&](int a, int b) {
        return all[static_cast<size_t>(a)] > all[static_cast<size_t>(b)];
      });
      const float best = all[static_cast<size_t>(order[0])];
      for (size_t row = 0; row < all.size(); ++row) {
        if (all[row] < best - 3.5f) continue;
        EXPECT_EQ(top[row], all[row]) << "row " << row;
      }
      double error = 0;
      double square = 0;
      for (size_t row = 0; row < all.size(); ++row) {
        error += std::pow(static_cast<double>(top[row] - all[row]), 2);
        square += std::pow(static_cast<double>(all[row]), 2);
      }
      EXPECT_LT(std::sqrt(error / square), 0.2);
      EXPECT_EQ(std::max_element(top.begin(), top.end()) - top.begin(), order[0]);
    }
  }
}

TEST(PackedHead, TokensOfABatchComeOutAsAlone) {
  constexpr int64_t kTokens = 21;  // more than one round, no multiple of a tile
  for (const auto precision : {HeadPrecision::kInt8, HeadPrecision::kInt6, HeadPrecision::kInt4}) {
    const Head head(1001, 96);
    const std::vector<float> x = random_input(kTokens, 96);
    on_every_isa([&](const KernelTable& table) {
      ThreadPool pool(2);
      const PackedHead packed(head.weights, precision, table, pool, [] {});
      PackedHead::Scratch scratch;
      std::vector<float> batch(kTokens * 1001);
      packed.multiply_top(x.data(), kTokens, pool, scratch, batch.data());
      std::vector<float> alone(1001);
      for (int64_t t = 0; t < kTokens; ++t) {
        packed.multiply_top(x.data() + t * 96, 1, pool, scratch, alone.data());
        EXPECT_EQ(std::memcmp(alone.data(), batch.data() + t * 1001, 1001 * sizeof(float)), 0)
            << to_string(precision) << ", token " << t;
      }
    });
  }
}

TEST(PackedHead, AFaultInTheInputShows) {
  const Head head(64, 40);
  ThreadPool pool(1);
  const PackedHead packed(head.weights, HeadPrecision::kInt8, select_kernels(""), pool, [] {});
  PackedHead::Scratch scratch;
  std::vector<float> x(40, 1.0f);
  x[7] = NAN;
  std::vector<float> out(64, 0.0f);
  packed.multiply_top(x.data(), 1, pool, scratch, out.data());
  EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](float v) { return std::isnan(v); }));
  packed.multiply(x.data(), 1, pool, scratch, out.data());
  EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](float v) { return std::isnan(v); }));
}

TEST(PackedHead, NamesOfPrecisions) {
  EXPECT_EQ(parse_head_precision("int6"), HeadPrecision::kInt6);
  EXPECT_STREQ(to_string(HeadPrecision::kStored), "stored");
  try {
    parse_head_precision("int5");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_NE(std::string(error.what()).find("'int5'"), std::string::npos);
  }
}

}  // namespace
}  // namespace tercet::test
