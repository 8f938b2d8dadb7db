// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/rng.h"
#include "kernels/every_isa.h"

namespace tercet {
namespace {

struct Quantized {
  std::vector<int8_t> q;
  float scale = 0;
};

Quantized reference(const std::vector<float>& x) {
  float absmax = 0;
  for (const float value : x) absmax = std::max(absmax, std::fabs(value));
  Quantized result;
  result.scale = 127.0f / std::max(absmax, 1e-5f);
  for (const float value : x) {
    const float rounded = std::nearbyint(value * result.scale);
    result.q.push_back(static_cast<int8_t>(std::clamp(rounded, -128.0f, 127.0f)));
  }
  return result;
}

Quantized run(const KernelTable& table, const std::vector<float>& x) {
  Quantized result;
  result.q.assign(x.size() + 1, 99);
  result.scale =
      table.quantize_absmax_i8(x.data(), static_cast<int64_t>(x.size()), result.q.data());
  EXPECT_EQ(result.q.back(), 99) << "wrote past the end";
  result.q.pop_back();
  return result;
}

void expect_reference(const std::vector<float>& x) {
  const Quantized expected = reference(x);
  on_every_isa([&](const KernelTable& table) {
    const Quantized found = run(table, x);
    EXPECT_EQ(found.scale, expected.scale);
    EXPECT_EQ(found.q, expected.q);
  });
}

TEST(QuantizeAbsmax, EqualsTheFormulaAtEveryLength) {
  Rng rng(1);
  for (int n = 0; n < 300; ++n) {
    std::vector<float> x;
    const float magnitude = std::ldexp(1.0f, static_cast<int>(rng.below(60)) - 30);
    for (int i = 0; i < n; ++i) x.push_back((static_cast<float>(rng.uniform()) - 0.5f) * magnitude);
    expect_reference(x);
  }
}

TEST(QuantizeAbsmax, RoundsHalvesToEven) {
  std::vector<float> x = {127.0f};  // the scale is exactly 1
  for (float half = -126.5f; half < 127.0f; half += 1.0f) x.push_back(half);
  expect_reference(x);
  const Quantized found = run(select_kernels(""), {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f});
  EXPECT_EQ(found.q, (std::vector<int8_t>{127, 0, 2, 2, 0, -2}));
}

TEST(QuantizeAbsmax, SmallAndLargeMagnitudes) {
  expect_reference(std::vector<float>(17, 0.0f));
  EXPECT_EQ(run(select_kernels(""), {0.0f}).scale, 127.0f / 1e-5f);
  expect_reference({1e-6f, -3e-6f, 1e-5f});
  expect_reference({1e-40f, -1e-42f});
  const float most = std::numeric_limits<float>::max();
  expect_reference({most, -most, most / 2, 1.0f});
  for (int i = 0; i < 2000; ++i) expect_reference({-(1.0f + 1e-3f * static_cast<float>(i)), 0.3f});
}

TEST(QuantizeAbsmax, NanAndInfinityShowInTheScale) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {nan, -nan, infinity, -infinity}) {
    for (const size_t place : {0u, 15u, 63u, 64u}) {
      std::vector<float> x(65, 1.0f);
      x[place] = bad;
      on_every_isa([&](const KernelTable& table) {
        const Quantized found = run(table, x);
        EXPECT_TRUE(std::isnan(found.scale));
        EXPECT_EQ(found.q, std::vector<int8_t>(65, 0));
      });
    }
  }
}

Quantized four_bits(const KernelTable& table, const std::vector<float>& x) {
  Quantized result;
  result.q.assign(x.size() + 1, 99);
  result.scale =
      table.quantize_absmean_i4(x.data(), static_cast<int64_t>(x.size()), result.q.data());
  EXPECT_EQ(result.q.back(), 99) << "wrote past the end";
  result.q.pop_back();
  return result;
}

TEST(QuantizeAbsmean, EqualsTheFormulaAtEveryLength) {
  Rng rng(2);
  for (int n = 1; n < 300; ++n) {
    std::vector<float> x;
    const float magnitude = std::ldexp(1.0f, static_cast<int>(rng.below(40)) - 15);
    double sum = 0;
    for (int i = 0; i < n; ++i) {
      x.push_back((static_cast<float>(rng.uniform()) - 0.5f) * magnitude);
      sum += std::fabs(static_cast<double>(x.back()));
    }
    const float mean = std::max(static_cast<float>(sum / n), 1e-5f);
    const float scale = std::sqrt(7.0f) / mean;
    on_every_isa([&](const KernelTable& table) {
      const Quantized found = four_bits(table, x);
      EXPECT_EQ(found.scale, scale);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(found.q[i], std::clamp(std::nearbyint(x[i] * scale), -8.0f, 7.0f));
      }
    });
  }
}

// Mean magnitude sqrt(7), so that the scale is 1.
TEST(QuantizeAbsmean, ClampsAndRoundsHalvesToEven) {
  const float mean = std::sqrt(7.0f);
  std::vector<float> x = {100.0f, -100.0f, 0.5f, 1.5f, -0.5f, -2.5f, 7.4f, -8.5f};
  float sum = 0;
  for (const float value : x) sum += std::fabs(value);
  x.resize(static_cast<size_t>(std::ceil(sum / mean)), 0.0f);
  on_every_isa([&](const KernelTable& table) {
    const Quantized found = four_bits(table, x);
    EXPECT_NEAR(found.scale, 1.0f, 0.02f);
    EXPECT_EQ(found.q[0], 7);
    EXPECT_EQ(found.q[1], -8);
    EXPECT_EQ(found.q[6], 7);
    EXPECT_EQ(found.q[7], -8);
    EXPECT_EQ(found.q.back(), 0);
  });
}

TEST(QuantizeAbsmean, FaultsShowInTheScaleAndZerosDoNot) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity}) {
    std::vector<float> x(37, 1.0f);
    x[20] = bad;
    on_every_isa([&](const KernelTable& table) {
      const Quantized found = four_bits(table, x);
      EXPECT_TRUE(std::isnan(found.scale));
      EXPECT_EQ(found.q, std::vector<int8_t>(37, 0));
    });
  }
  on_every_isa([&](const KernelTable& table) {
    EXPECT_EQ(four_bits(table, std::vector<float>(5)).q, std::vector<int8_t>(5, 0));
  });
}

}  // namespace
}  // namespace tercet
