// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "core/half.h"
#include "core/rng.h"
#include "kernels/every_isa.h"
#include "kernels/top_k.h"

namespace tercet {
namespace {

constexpr int64_t kSizes[] = {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 576, 1037};

std::vector<float> draw(int64_t count, uint64_t seed, double reach = 4) {
  Rng rng(seed);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>((rng.uniform() * 2 - 1) * reach));
  }
  return values;
}

std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

// Runs `compute` on every ISA, demands the bits of the scalar one, and returns that result. The
// vectors are as long as what they hold, so that a sanitizer sees reads and writes behind them.
std::vector<float> on_all(
    const std::function<void(const KernelTable&, std::vector<float>&)>& compute,
    std::vector<float> out) {
  std::vector<float> expected = out;
  compute(select_kernels("scalar"), expected);
  on_every_isa([&](const KernelTable& table) {
    std::vector<float> result = out;
    compute(table, result);
    EXPECT_EQ(bits_of(result), bits_of(expected)) << out.size();
  });
  return expected;
}

TEST(VectorOps, RmsNormIsTheFormula) {
  for (const int64_t n : kSizes) {
    const std::vector<float> x = draw(n, 1);
    const std::vector<float> weight = draw(n, 2);
    const std::vector<float> out = on_all(
        [&](const KernelTable& table, std::vector<float>& to) {
          table.rms_norm(x.data(), weight.data(), n, 1e-5f, to.data());
        },
        std::vector<float>(x.size()));
    double squares = 0;
    for (const float value : x) squares += static_cast<double>(value) * value;
    const double root = std::sqrt(squares / static_cast<double>(n) + 1e-5);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(out[i], x[i] / root * weight[i], 1e-5);
    const std::vector<float> in_place = on_all(
        [&](const KernelTable& table, std::vector<float>& to) {
          table.rms_norm(to.data(), weight.data(), n, 1e-5f, to.data());
        },
        x);
    EXPECT_EQ(in_place, out);
  }
}

// Against the matrix itself: entry (i, j) is negative where i AND j has an odd number of ones.
TEST(VectorOps, HadamardIsTheMatrixAndItsOwnInverse) {
  for (const auto& [n, block] : {std::pair<int64_t, int64_t>{2, 2},
                                 {12, 4},
                                 {8, 8},
                                 {24, 8},
                                 {48, 16},
                                 {96, 32},
                                 {5, 1},
                                 {512, 512},
                                 {768, 256}}) {
    const std::vector<float> x = draw(n, 11);
    const auto transform = [&, size = n, width = block](const KernelTable& table,
                                                        std::vector<float>& to) {
      table.hadamard(to.data(), size, width);
    };
    const std::vector<float> out = on_all(transform, x);
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (int64_t j = i / block * block; j < (i / block + 1) * block; ++j) {
        const bool odd = std::popcount(static_cast<uint64_t>(i % block & j % block)) % 2 != 0;
        sum += (odd ? -1.0 : 1.0) * static_cast<double>(x[static_cast<size_t>(j)]);
      }
      EXPECT_NEAR(out[static_cast<size_t>(i)], sum / std::sqrt(static_cast<double>(block)), 1e-5)
          << n << ", " << block;
    }
    const std::vector<float> back = on_all(transform, out);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(back[i], x[i], 1e-5);
  }
}

TEST(TopK, KeepsTheLargestByMagnitude) {
  std::vector<float> x = {0.5f, -3.0f, 2.0f, -0.1f, 2.0f};
  EXPECT_EQ(kth_largest_magnitude(x, 1), 3.0f);
  EXPECT_EQ(kth_largest_magnitude(x, 5), 0.1f);
  keep_largest(x, 2);  // two are equal to the second
  EXPECT_EQ(x, (std::vector<float>{0.0f, -3.0f, 2.0f, 0.0f, 2.0f}));
  x = {1.0f, NAN, -2.0f};
  keep_largest(x, 1);
  EXPECT_TRUE(std::isnan(x[1]));
}

TEST(VectorOps, LayerNormOfEqualsIsZeroAndKeepsFaults) {
  for (const auto& [fault, expect_nan] : {std::pair{0.7f, false}, std::pair{NAN, true}}) {
    std::vector<float> x(37, 0.7f);
    x[5] = fault;
    on_every_isa([&, bad = expect_nan](const KernelTable& table) {
      std::vector<float> out(x.size());
      table.layer_norm(x.data(), 37, 1e-5f, out.data());
      for (const float value : out) EXPECT_EQ(bad ? std::isnan(value) : value == 0.0f, true);
    });
  }
}

TEST(VectorOps, LayerNormIsTheFormula) {
  for (const int64_t n : kSizes) {
    std::vector<float> x = draw(n, 1);
    for (float& value : x) value += 3;
    const std::vector<float> out =
        on_all([&](const KernelTable& table,
                   std::vector<float>& to) { table.layer_norm(x.data(), n, 1e-5f, to.data()); },
               std::vector<float>(x.size()));
    double mean = 0;
    double variance = 0;
    for (const float value : x) mean += static_cast<double>(value) / static_cast<double>(n);
    for (const float value : x) variance += std::pow(value - mean, 2) / static_cast<double>(n);
    const double root = std::sqrt(variance + 1e-5);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(out[i], (x[i] - mean) / root, 1e-5);
    const std::vector<float> in_place =
        on_all([&](const KernelTable& table,
                   std::vector<float>& to) { table.layer_norm(to.data(), n, 1e-5f, to.data()); },
               x);
    EXPECT_EQ(in_place, out);
  }
}

TEST(VectorOps, AddAdds) {
  for (const int64_t n : kSizes) {
    const std::vector<float> x = draw(n, 3);
    const std::vector<float> start = draw(n, 4);
    const std::vector<float> out =
        on_all([&](const KernelTable& table,
                   std::vector<float>& to) { table.add(x.data(), n, to.data()); },
               start);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(out[i], start[i] + x[i]);
  }
}

using Gate = void (*)(const float*, const float*, int64_t, float*);

void expect_gate(Gate KernelTable::*gate, double (*activation)(double)) {
  for (const int64_t n : kSizes) {
    const std::vector<float> x = draw(n, 5, 12);
    const std::vector<float> up = draw(n, 6);
    const std::vector<float> out =
        on_all([&](const KernelTable& table,
                   std::vector<float>& to) { (table.*gate)(to.data(), up.data(), n, to.data()); },
               x);
    for (size_t i = 0; i < x.size(); ++i) {
      const double expected = activation(x[i]) * static_cast<double>(up[i]);
      EXPECT_NEAR(out[i], expected, 1e-6 * std::abs(expected) + 1e-9) << x[i];
    }
  }
}

TEST(VectorOps, GatesAreTheFormulas) {
  expect_gate(&KernelTable::silu_gate, [](double x) { return x / (1 + std::exp(-x)); });
  expect_gate(&KernelTable::relu2_gate, [](double x) { return x > 0 ? x * x : 0; });
  expect_gate(&KernelTable::gelu_gate, [](double x) {
    const double bent = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    return 0.5 * x * (1 + std::tanh(bent));
  });
}

TEST(VectorOps, GatesKeepTheirLimits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {-kInfinity,    kInfinity, -200.0f, 200.0f, -88.5f,
                                std::nanf(""), 0.0f,      -0.0f,   1e30f};
  const std::vector<float> ones(x.size(), 1.0f);
  for (const Gate KernelTable::*gate :
       {&KernelTable::silu_gate, &KernelTable::relu2_gate, &KernelTable::gelu_gate}) {
    on_every_isa([&](const KernelTable& table) {
      std::vector<float> out = x;
      (table.*gate)(x.data(), ones.data(), static_cast<int64_t>(x.size()), out.data());
      EXPECT_EQ(out[1], kInfinity);
      EXPECT_EQ(out[2], 0.0f);
      EXPECT_GE(out[3], 200.0f);
      EXPECT_NEAR(out[4], 0.0f, 1e-36);
      EXPECT_TRUE(std::isnan(out[5]));
      EXPECT_EQ(out[6], 0.0f);
      EXPECT_EQ(out[7], 0.0f);
    });
  }
}

// silu(x) with a gate of -x and x large gives e^x away: x / (1 + e^-x) * (1 / x) = 1 / (1 + e^-x).
TEST(VectorOps, TheExponentialIsWithinTwoUlp) {
  std::vector<float> x;
  for (double value = -86; value < 17; value += 0.000917) x.push_back(static_cast<float>(value));
  const std::vector<float> ones(x.size(), 1.0f);
  on_every_isa([&](const KernelTable& table) {
    std::vector<float> out(x.size());
    table.silu_gate(x.data(), ones.data(), static_cast<int64_t>(x.size()), out.data());
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double expected = x[i] / (1 + std::exp(-static_cast<double>(x[i])));
      if (expected == 0) continue;
      worst = std::max(worst, std::abs(out[i] / expected - 1));
    }
    // The sum, the quotient and the product round once each.
    EXPECT_LT(worst, (1 + 3 * 0.5) * 0x1p-23);
  });
}

TEST(VectorOps, RotationsTurnTheirPairs) {
  for (const int64_t pairs : {1, 3, 4, 8, 11, 16, 32, 48, 64}) {
    const std::vector<float> angles = draw(pairs, 7);
    std::vector<float> cosines;
    std::vector<float> sines;
    for (const float angle : angles) {
      cosines.push_back(std::cos(angle));
      sines.push_back(std::sin(angle));
    }
    const std::vector<float> head = draw(2 * pairs, 8);
    const std::vector<float> halves = on_all(
        [&](const KernelTable& table, std::vector<float>& to) {
          table.rotate_halves(cosines.data(), sines.data(), pairs, to.data());
        },
        head);
    const std::vector<float> neighbours = on_all(
        [&](const KernelTable& table, std::vector<float>& to) {
          table.rotate_neighbours(cosines.data(), sines.data(), pairs, to.data());
        },
        head);
    const auto expect_turned = [&](const std::vector<float>& out, size_t a, size_t b, size_t pair) {
      EXPECT_EQ(out[a], head[a] * cosines[pair] - head[b] * sines[pair]);
      EXPECT_EQ(out[b], head[b] * cosines[pair] + head[a] * sines[pair]);
    };
    for (size_t i = 0; i < angles.size(); ++i) {
      expect_turned(halves, i, i + angles.size(), i);
      expect_turned(neighbours, 2 * i, 2 * i + 1, i);
    }
  }
}

TEST(VectorOps, NarrowingRoundsLikeTheScalarConversions) {
  std::vector<float> x = draw(4000, 9, 70000);
  for (const float tiny : draw(2000, 10, 1e-4)) x.push_back(tiny);
  for (uint32_t half = 0; half < 0x7C00; half += 5) {  // halves, and the ties between them
    const float value = f16_to_f32(static_cast<uint16_t>(half));
    x.push_back(value);
    x.push_back((value + f16_to_f32(static_cast<uint16_t>(half + 1))) / 2);
  }
  x.push_back(std::nanf(""));
  x.push_back(std::numeric_limits<float>::infinity());
  x.push_back(-std::numeric_limits<float>::infinity());
  const auto count = static_cast<int64_t>(x.size());
  on_every_isa([&](const KernelTable& table) {
    std::vector<uint16_t> halves(x.size());
    table.narrow_to_f16(x.data(), count, halves.data());
    std::vector<uint16_t> brains(x.size());
    table.narrow_to_bf16(x.data(), count, brains.data());
    for (size_t i = 0; i < x.size(); ++i) {
      const float bounded = std::isfinite(x[i]) ? std::clamp(x[i], -65504.0f, 65504.0f) : x[i];
      if (std::isnan(x[i])) {
        EXPECT_TRUE(std::isnan(f16_to_f32(halves[i])));
        EXPECT_TRUE(std::isnan(bf16_to_f32(brains[i])));
        continue;
      }
      EXPECT_EQ(halves[i], f32_to_f16(bounded)) << x[i];
      EXPECT_EQ(brains[i], f32_to_bf16(x[i])) << x[i];
    }
  });
}

}  // namespace
}  // namespace tercet
