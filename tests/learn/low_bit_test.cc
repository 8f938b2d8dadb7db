// SPDX-License-Identifier: Apache-2.0
// The quantizers beside the plain ones, and the way there from dense, against plain tensor algebra.
#include <gtest/gtest.h>

#include <cmath>

#include "learn/nn/input_codes.h"
#include "learn/nn/low_bit_form.h"
#include "learn/nn/reference_ops.h"
#include "learn/op_support.h"

namespace tercet::learn {
namespace {

using test::Case;
using test::expect_same;
using test::Inputs;
using test::kCases;
using test::random;

constexpr InputRange kEachToken = InputRange::kPerToken;
constexpr InputRange kAll = InputRange::kAllTokens;

// 45 columns: three groups of 15, which no vector register divides.
const LowBitForm kForms[] = {
    {LinearKind::kB158, kEachToken, 1, false}, {LinearKind::kB158, InputRange::kFourBits, 1, false},
    {LinearKind::kB1, kAll, 1, false},         {LinearKind::kB1, kEachToken, 3, false},
    {LinearKind::kB1, kAll, 3, false},         {LinearKind::kB1, kEachToken, 1, true},
    {LinearKind::kB1, kAll, 3, true},          {LinearKind::kB158, InputRange::kFourBits, 5, false},
};

Inputs odd_inputs() {
  return {random({29, 45}) + 0.3, random({17, 45}, 0.02) + 0.01, random({5, 45}, 3.0)};
}

TEST(LowBit, EveryFormAgreesWithTensorAlgebra) {
  for (const LowBitForm& form : kForms) {
    for (const Case& c : kCases) {
      SCOPED_TRACE(testing::Message() << to_string(form.kind) << ", " << form.groups << " groups"
                                      << (form.shifted ? ", shifted" : ""));
      expect_same(
          [&](const Inputs& in) {
            return low_bit_linear(in[0], {in[1], in[2]}, c.compute, form);
          },
          [&](const Inputs& in) {
            return reference::low_bit_linear(in[0], {in[1], in[2]}, c.compute, form);
          },
          odd_inputs(), c.tolerance);
    }
  }
}

TEST(LowBit, EveryFormFadesInAsTensorAlgebraDoes) {
  for (const LowBitForm& form : kForms) {
    for (const double share : {0.0, 0.3, 0.999, 1.0}) {
      for (const Case& c : kCases) {
        SCOPED_TRACE(testing::Message() << to_string(form.kind) << ", share " << share);
        expect_same(
            [&](const Inputs& in) {
              return fading_linear(in[0], {in[1], in[2]}, c.compute, form, share);
            },
            [&](const Inputs& in) {
              return reference::fading_linear(in[0], {in[1], in[2]}, c.compute, form, share);
            },
            odd_inputs(), c.tolerance);
      }
    }
  }
}

// Half way, by hand: gamma 1.5, so weights 1 and -2 become 1.5 and -1.5 and lie at 1.25 and -1.75;
// the input is kept by its rounding (127 and 0).
TEST(LowBit, HalfWayLiesHalfWay) {
  const at::Tensor weight = at::tensor({1.0f, -2.0f}).view({1, 2}).set_requires_grad(true);
  const at::Tensor x = at::tensor({127.0f, 0.0f}).view({1, 2}).set_requires_grad(true);
  const at::Tensor y = fading_linear(x, {weight}, at::kFloat, LowBitForm{}, 0.5);
  EXPECT_FLOAT_EQ(y.item<float>(), 1.25f * 127.0f);
  torch::autograd::backward({y.sum()}, {});
  EXPECT_FLOAT_EQ(x.grad()[0][0].item<float>(), 1.25f);
  EXPECT_FLOAT_EQ(x.grad()[0][1].item<float>(), -1.75f);
  EXPECT_FLOAT_EQ(weight.grad()[0][0].item<float>(), 127.0f);
}

// sqrt(7) / mean |x| with mean 4: 4 lands on 2.6, 20 beyond 7, -20 on -8.
TEST(LowBit, FourBitsClampAndRoundByTheMean) {
  at::Tensor x = at::zeros({1, 12});
  x[0][0] = 20.0f;
  x[0][1] = -20.0f;
  x[0][2] = 4.0f;
  x[0][3] = -4.0f;
  const InputCodes input = quantize_input(x, InputRange::kFourBits);
  EXPECT_FLOAT_EQ(input.row_scale.item<float>(), std::sqrt(7.0f) / 4.0f);
  const at::Tensor expected = at::tensor({7, -8, 3, -3, 0}, at::kChar);
  EXPECT_TRUE(at::equal(input.codes[0].narrow(0, 0, 5), expected)) << input.codes;
}

// Inputs from -1 to 3 use all of 0 to 127: codes 0, 127 and 64 (63.5), a step 4 / 127.
TEST(LowBit, ShiftedInputsUseTheWholeRange) {
  const LowBitForm form{LinearKind::kB1, kEachToken, 1, true};
  const at::Tensor x = at::tensor({-1.0f, 3.0f, 1.0f}).view({1, 3});
  // Above their mean lies only the second; the mean of the magnitudes is 1.
  const at::Tensor weight = at::tensor({-1.0f, 1.0f, -1.0f}).view({1, 3});
  const float step = 4.0f / 127.0f;
  const float expected = -(-1.0f) + (127 * step - 1.0f) - (64 * step - 1.0f);
  EXPECT_NEAR(low_bit_linear(x, {weight}, at::kFloat, form).item<float>(), expected, 1e-5f);
}

// What a group's columns hold changes nothing in the share of another.
TEST(LowBit, GroupsKnowNothingOfEachOther) {
  const LowBitForm form{LinearKind::kB1, kEachToken, 2, false};
  const at::Tensor x = random({7, 10});
  const at::Tensor weight = random({3, 10});
  const auto with = [&](double scale) {
    at::Tensor other = x.clone();
    other.narrow(1, 5, 5).mul_(scale);
    return low_bit_linear(other, {weight}, at::kFloat, form);
  };
  // The second group's share is linear in its scale; the first's is what is left.
  const at::Tensor first = 2 * with(1) - with(2);
  EXPECT_TRUE(at::allclose(first, with(0), 1e-4, 1e-4));
  const at::Tensor alone =
      binary_linear(x.narrow(1, 0, 5), {weight.narrow(1, 0, 5)}, at::kFloat, kEachToken);
  EXPECT_TRUE(at::allclose(first, alone, 1e-4, 1e-4));
}

TEST(LowBit, ZerosAndConstantsStayFinite) {
  for (const LowBitForm& form : kForms) {
    const at::Tensor zero =
        low_bit_linear(at::zeros({3, 15}), {at::zeros({4, 15})}, at::kFloat, form);
    EXPECT_TRUE(at::isfinite(zero).all().item<bool>());
    EXPECT_EQ(zero.abs().max().item<float>(), 0.0f);
    const at::Tensor same = low_bit_linear(at::ones({3, 15}), {random({4, 15})}, at::kFloat, form);
    EXPECT_TRUE(at::isfinite(same).all().item<bool>());
  }
}

// A fault must not be rounded away.
TEST(LowBit, NotANumberShows) {
  for (const LowBitForm& form : kForms) {
    at::Tensor x = random({3, 15});
    x[1][2] = std::nanf("");
    const at::Tensor y = low_bit_linear(x, {random({4, 15})}, at::kFloat, form);
    EXPECT_TRUE(at::isnan(y[1]).any().item<bool>());
  }
}

}  // namespace
}  // namespace tercet::learn
