// SPDX-License-Identifier: Apache-2.0
#include "formats/tensor.h"

#include <bit>
#include <cmath>
#include <limits>

#include "core/half.h"
#include "formats/support.h"

namespace tercet {
namespace {

using testing::expect_error;

TEST(RowBytes, CountsBlocks) {
  EXPECT_EQ(row_bytes(DType::kF32, 7, "x"), 28u);
  EXPECT_EQ(row_bytes(DType::kBF16, 7, "x"), 14u);
  EXPECT_EQ(row_bytes(DType::kI64, 3, "x"), 24u);
  EXPECT_EQ(row_bytes(DType::kBool, 3, "x"), 3u);
  EXPECT_EQ(row_bytes(DType::kQ8_0, 64, "x"), 68u);
  EXPECT_EQ(row_bytes(DType::kTq1_0, 512, "x"), 108u);
  EXPECT_EQ(row_bytes(DType::kTq2_0, 512, "x"), 132u);
  EXPECT_EQ(row_bytes(DType::kTq2_0, 0, "x"), 0u);
}

TEST(RowBytes, RefusesPartBlocksAndOverflow) {
  expect_error(ErrorCode::kBadInput, "multiple of 32", [] { row_bytes(DType::kQ8_0, 33, "t"); });
  expect_error(ErrorCode::kBadInput, "multiple of 256", [] { row_bytes(DType::kTq2_0, 128, "t"); });
  expect_error(ErrorCode::kBadInput, "t:", [] { row_bytes(DType::kF64, UINT64_MAX / 4, "t"); });
}

TensorView view_of(const std::vector<uint8_t>& bytes, DType type, std::vector<int64_t> shape) {
  return {"tensor", type, std::move(shape), bytes};
}

TEST(TensorConversion, NarrowTypesRoundOnceAndComeBack) {
  const std::vector<float> values = {0.0f, -0.0f, 1.0f, -2.5f, 65504.0f, 1.0f / 3.0f};
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    const auto bytes = from_f32(values, type, 3, "x");
    const auto back = to_f32(view_of(bytes, type, {2, 3}));
    ASSERT_EQ(back.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      float expected = values[i];
      if (type == DType::kF16) expected = f16_to_f32(f32_to_f16(values[i]));
      if (type == DType::kBF16) expected = bf16_to_f32(f32_to_bf16(values[i]));
      EXPECT_EQ(back[i], expected) << to_string(type) << " " << i;
    }
  }
}

// Bytes computed by hand: absmax 127 gives scale 1, whose f16 is 0x3C00.
TEST(TensorConversion, Q8BlockHasScaleThenValues) {
  std::vector<float> values(64, 0.0f);
  values[0] = 127.0f;
  values[1] = -126.6f;
  values[31] = 2.5f;   // away from zero
  values[32] = -0.5f;  // second block: scale 0.5 / 127
  const auto bytes = from_f32(values, DType::kQ8_0, 64, "x");
  ASSERT_EQ(bytes.size(), 68u);
  EXPECT_EQ(bytes[0], 0x00);
  EXPECT_EQ(bytes[1], 0x3C);
  EXPECT_EQ(static_cast<int8_t>(bytes[2]), 127);
  EXPECT_EQ(static_cast<int8_t>(bytes[3]), -127);
  EXPECT_EQ(static_cast<int8_t>(bytes[2 + 31]), 3);
  EXPECT_EQ(static_cast<int8_t>(bytes[34 + 2]), -127);

  const auto back = to_f32(view_of(bytes, DType::kQ8_0, {1, 64}));
  EXPECT_EQ(back[0], 127.0f);
  EXPECT_EQ(back[31], 3.0f);
  EXPECT_NEAR(back[32], -0.5f, 0.5f * 0.0005f);
}

TEST(TensorConversion, NonFiniteValuesAreRefused) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      std::vector<float> values(32, 1.0f);
      values[3] = bad;
      expect_error(ErrorCode::kBadInput, "weights: value 3",
                   [&] { from_f32(values, type, 32, "weights"); });
    }
  }
}

// Neither silently infinite nor refused too early: the limits are the last f32 that stays finite.
TEST(TensorConversion, ValuesThatWouldBecomeInfiniteAreRefused) {
  const auto first = [](float value, DType type) {
    std::vector<float> values(32, 0.0f);
    values[0] = value;
    return to_f32(view_of(from_f32(values, type, 32, "weights"), type, {32}))[0];
  };
  constexpr float kMaxFloat = std::numeric_limits<float>::max();
  EXPECT_EQ(first(std::nextafter(65520.0f, 0.0f), DType::kF16), 65504.0f);
  EXPECT_EQ(first(-std::bit_cast<float>(0x7F7F7FFFu), DType::kBF16),
            -std::bit_cast<float>(0x7F7F0000u));
  EXPECT_EQ(first(kMaxFloat, DType::kF32), kMaxFloat);
  EXPECT_EQ(first(65504.0f * 127.0f, DType::kQ8_0), 65504.0f * 127.0f);
  expect_error(ErrorCode::kBadInput,
               "weights: value 0 is 65520, too large for f16; use bf16 or f32",
               [&] { first(65520.0f, DType::kF16); });
  expect_error(ErrorCode::kBadInput, "use f32", [&] { first(kMaxFloat, DType::kBF16); });
  expect_error(ErrorCode::kBadInput, "too large for q8_0; use bf16 or f32",
               [&] { first(-65520.0f * 127.0f, DType::kQ8_0); });
  for (float value = 65519.0f * 127.0f; value < 65520.0f * 127.0f; value += 0.5f) {
    EXPECT_TRUE(std::isfinite(first(value, DType::kQ8_0))) << value;
  }
}

TEST(TensorConversion, Q8SurvivesSubnormalValues) {
  const std::vector<float> tiny(32, 1e-44f);
  for (const float value :
       to_f32(view_of(from_f32(tiny, DType::kQ8_0, 32, "x"), DType::kQ8_0, {32})))
    EXPECT_EQ(value, 0.0f);
}

TEST(TensorConversion, NamesWhatItCannotDo) {
  const std::vector<float> values(10, 1.0f);
  expect_error(ErrorCode::kBadInput, "weights",
               [&] { from_f32(values, DType::kQ8_0, 10, "weights"); });
  expect_error(ErrorCode::kUnsupported, "weights",
               [&] { from_f32(values, DType::kI8, 10, "weights"); });
  const std::vector<uint8_t> bytes(66);
  expect_error(ErrorCode::kUnsupported, "'tensor' is tq2_0",
               [&] { to_f32(view_of(bytes, DType::kTq2_0, {256})); });
}

}  // namespace
}  // namespace tercet
