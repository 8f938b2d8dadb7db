// SPDX-License-Identifier: Apache-2.0
#include "core/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tercet {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The value by the definition of binary16, in double.
double f16_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

TEST(F16, EveryPatternHasItsValueAndComesBack) {
  for (uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const uint16_t bits = static_cast<uint16_t>(pattern);
    const float value = f16_to_f32(bits);
    const bool special = (bits & 0x7C00) == 0x7C00;
    if (special && (bits & 0x3FF) != 0) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value)))) << bits;
      continue;
    }
    const double expected = special ? (bits & 0x8000 ? -HUGE_VAL : HUGE_VAL) : f16_value(bits);
    ASSERT_EQ(static_cast<double>(value), expected) << bits;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
    ASSERT_EQ(f32_to_f16(value), bits);
  }
}

TEST(F16, RoundsToNearestTiesToEven) {
  for (uint32_t pattern = 0; pattern < 0x7BFF; ++pattern) {  // every two finite neighbours
    const uint16_t low = static_cast<uint16_t>(pattern);
    const uint16_t high = static_cast<uint16_t>(pattern + 1);
    const float middle = static_cast<float>((f16_value(low) + f16_value(high)) / 2);
    const uint16_t even = low % 2 == 0 ? low : high;
    for (const uint16_t sign : {uint16_t{0}, uint16_t{0x8000}}) {
      const float direction = sign != 0 ? -1.0f : 1.0f;
      ASSERT_EQ(f32_to_f16(direction * middle), even | sign) << pattern;
      ASSERT_EQ(f32_to_f16(direction * std::nextafter(middle, 0.0f)), low | sign) << pattern;
      ASSERT_EQ(f32_to_f16(direction * std::nextafter(middle, 1e6f)), high | sign) << pattern;
    }
  }
}

TEST(F16, OverflowsAtHalfAStepAboveTheLargest) {
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7BFF);
  EXPECT_EQ(f32_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(-1e30f), 0xFC00);
  EXPECT_EQ(f32_to_f16(kInfinity), 0x7C00);
  EXPECT_EQ(f32_to_f16(1e-30f), 0);
  EXPECT_EQ(f32_to_f16(-1e-45f), 0x8000);
}

TEST(Bf16, EveryPatternComesBack) {
  for (uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const uint16_t bits = static_cast<uint16_t>(pattern);
    const float value = bf16_to_f32(bits);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(value)))) << bits;
    } else {
      ASSERT_EQ(f32_to_bf16(value), bits);
    }
  }
}

TEST(Bf16, RoundsToNearestTiesToEven) {
  for (uint32_t pattern = 0; pattern < 0x7F7F; ++pattern) {
    const uint16_t low = static_cast<uint16_t>(pattern);
    const uint16_t high = static_cast<uint16_t>(pattern + 1);
    const float middle = static_cast<float>(
        (static_cast<double>(bf16_to_f32(low)) + static_cast<double>(bf16_to_f32(high))) / 2);
    ASSERT_EQ(f32_to_bf16(middle), low % 2 == 0 ? low : high) << pattern;
    ASSERT_EQ(f32_to_bf16(std::nextafter(middle, 0.0f)), low) << pattern;
    ASSERT_EQ(f32_to_bf16(-std::nextafter(middle, kInfinity)), high | 0x8000) << pattern;
  }
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(f32_to_bf16(-kInfinity), 0xFF80);
}

TEST(Bf16, NanOfLowBitsOnlyStaysNan) {
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7F800001u)))));
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(std::bit_cast<float>(0xFF800001u)))));
}

}  // namespace
}  // namespace tercet
