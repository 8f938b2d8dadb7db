// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "packing/ternary.h"
#include "packing/test_matrix.h"

namespace tercet::packing {
namespace {

TEST(Absmean, RoundsHalfToEvenLikeTorch) {
  // mean |w| is exactly 1, so the codes show the rounding of the weights themselves.
  const std::vector<float> weights = {0.5f,         -0.5f,         1.5f,        -1.5f,
                                      0.501953125f, -0.501953125f, 2.49609375f, 0.5f};
  const TernaryMatrix matrix = quantize_absmean(weights, 2, 4);
  ASSERT_EQ(matrix.scales, std::vector<float>{1.0f});
  EXPECT_EQ(matrix.codes, (std::vector<int8_t>{0, 0, 1, -1, 1, -1, 1, 0}));
  EXPECT_EQ(matrix.scope, ScaleScope::kTensor);
  EXPECT_EQ(matrix.rows, 2);
  EXPECT_EQ(matrix.cols, 4);
}

TEST(Absmean, MultipliesByTheRoundedInverse) {
  // w / gamma is a hair above 0.5, w * f32(1 / gamma) is exactly 0.5: the two give different codes,
  // and training uses the product.
  int differing = 0;
  for (int i = 1; i < 2000; ++i) {
    const float gamma = 0.01f + 1e-5f * static_cast<float>(i);
    for (const float w :
         {std::nextafter(gamma / 2, 0.0f), gamma / 2, std::nextafter(gamma / 2, 1.0f)}) {
      const std::vector<float> weights = {w, 2 * gamma - w};  // mean: gamma
      const TernaryMatrix matrix = quantize_absmean(weights, 1, 2);
      const float inverse = 1.0f / matrix.scales[0];
      const float product = w * inverse;
      ASSERT_EQ(matrix.codes[0], product > 0.5f ? 1 : 0) << i;
      differing += (product > 0.5f) != (w / matrix.scales[0] > 0.5f);
    }
  }
  EXPECT_GT(differing, 0);
}

TEST(Absmean, SumsInDouble) {
  // In f32 the sum would stop growing at 2^24.
  const std::vector<float> weights((1 << 24) + (1 << 20), 1.0f);
  EXPECT_EQ(absmean_scale(weights), 1.0f);
}

TEST(Absmean, HasAFloor) {
  EXPECT_EQ(absmean_scale({}), 1e-5f);
  const std::vector<float> zeros(12, 0.0f);
  const TernaryMatrix matrix = quantize_absmean(zeros, 3, 4);
  EXPECT_EQ(matrix.scales[0], 1e-5f);
  EXPECT_EQ(matrix.codes, std::vector<int8_t>(12, 0));
}

TEST(Absmean, LargestWeightsDoNotOverflow) {
  const std::vector<float> weights(100, std::numeric_limits<float>::max());
  const TernaryMatrix matrix = quantize_absmean(weights, 10, 10);
  EXPECT_TRUE(std::isfinite(matrix.scales[0]));
}

TEST(Absmean, RejectsWhatIsNotANumber) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> weights = {1.0f, bad, -1.0f, 0.0f};
    expect_error(ErrorCode::kBadInput, "model.layers.0",
                 [&] { quantize_absmean(weights, 2, 2, "model.layers.0"); });
  }
  const std::vector<float> weights(5, 1.0f);
  expect_error(ErrorCode::kInternal, "2 x 2", [&] { quantize_absmean(weights, 2, 2); });
}

TEST(BitsPerWeight, CountsEveryByte) {
  EXPECT_DOUBLE_EQ(bits_per_weight(54, 1, 256), 1.6875);
  EXPECT_DOUBLE_EQ(bits_per_weight(66, 1, 256), 2.0625);
  EXPECT_DOUBLE_EQ(bits_per_weight(66, 0, 256), 0.0);
}

}  // namespace
}  // namespace tercet::packing
