// SPDX-License-Identifier: Apache-2.0
// The fused CPU operations against plain tensor algebra with libtorch's own gradients.
#include "learn/nn/ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "learn/nn/code_matrix.h"
#include "learn/nn/reference_ops.h"
#include "learn/op_support.h"

namespace tercet::learn {
namespace {

using test::Case;
using test::expect_same;
using test::Inputs;
using test::kCases;
using test::Op;
using test::random;

TEST(Ops, RmsNorm) {
  for (const int64_t n : {5, 64, 172}) {
    expect_same([](const Inputs& in) { return rms_norm(in[0], in[1], 1e-5); },
                [](const Inputs& in) { return reference::rms_norm(in[0], in[1], 1e-5); },
                {random({37, n}, 3.0), random({n})}, 2e-6);
  }
}

TEST(Ops, Glu) {
  for (const Activation act : {Activation::kSilu, Activation::kRelu2}) {
    for (const int64_t n : {1, 19, 172}) {
      expect_same([act](const Inputs& in) { return glu(in[0], act); },
                  [act](const Inputs& in) { return reference::glu(in[0], act); },
                  {random({23, 2 * n}, 4.0)}, 2e-6);
    }
  }
}

TEST(Ops, GluNorm) {
  for (const Activation act : {Activation::kSilu, Activation::kRelu2}) {
    for (const int64_t n : {19, 64, 172}) {
      const Inputs inputs{random({83, 2 * n}, 4.0), random({n})};
      const Op fused = [act](const Inputs& in) { return glu_norm(in[0], act, in[1], 1e-5); };
      expect_same(
          fused,
          [act](const Inputs& in) {
            return reference::rms_norm(reference::glu(in[0], act), in[1], 1e-5);
          },
          inputs, 2e-6);
      EXPECT_TRUE(fused(inputs).equal(rms_norm(glu(inputs[0], act), inputs[1], 1e-5)));
      const Op plain = [act](const Inputs& in) { return glu_norm(in[0], act, {}, 0); };
      expect_same(
          plain,
          [act](const Inputs& in) { return reference::plain_norm(reference::glu(in[0], act)); },
          {inputs[0]}, 4e-6);
      EXPECT_TRUE(plain(inputs).equal(plain_norm(glu(inputs[0], act))));
    }
  }
}

TEST(Ops, CachedCodesFollowTheWeights) {
  CodeCache cache;
  const at::Tensor x = random({7, 33});
  const at::Tensor weight = random({20, 33});
  for (int step = 0; step < 3; ++step) {
    const auto codes = cache.of({weight}, LinearKind::kB158, at::kFloat, true);
    EXPECT_EQ(codes, cache.of({weight}, LinearKind::kB158, at::kFloat, false));
    EXPECT_TRUE(ternary_linear(x, {weight}, at::kFloat, &cache)
                    .equal(ternary_linear(x, {weight}, at::kFloat)));
    weight.add_(random({20, 33}));
  }
}

TEST(Ops, LowBitLinearShowsWhatIsNotFinite) {
  const at::Tensor weight = random({5, 40});
  for (const double fault : {std::nan(""), HUGE_VAL}) {
    at::Tensor x = random({3, 40});
    x[1][17] = fault;
    for (const InputRange range : {InputRange::kPerToken, InputRange::kAllTokens}) {
      const at::Tensor y = binary_linear(x, {weight}, at::kBFloat16, range);
      EXPECT_FALSE(y[1].isfinite().any().item<bool>());
    }
    EXPECT_TRUE(ternary_linear(x, {weight}, at::kFloat)[0].isfinite().all().item<bool>());
  }
  at::Tensor bad = weight.clone();
  bad[2][3] = std::nan("");
  EXPECT_FALSE(ternary_linear(random({3, 40}), {bad}, at::kFloat).isfinite().any().item<bool>());
}

TEST(Ops, DenseLinear) {
  for (const Case& c : kCases) {
    expect_same(
        [&](const Inputs& in) {
          return dense_linear(in[0], {in[1], in[2]}, c.compute);
        },
        [&](const Inputs& in) {
          return reference::dense_linear(in[0], {in[1], in[2]}, c.compute);
        },
        {random({29, 43}), random({17, 43}), random({5, 43})}, c.tolerance);
  }
}

TEST(Ops, TernaryLinear) {
  for (const Case& c : kCases) {
    expect_same(
        [&](const Inputs& in) {
          return ternary_linear(in[0], {in[1], in[2]}, c.compute);
        },
        [&](const Inputs& in) {
          return reference::low_bit_linear(in[0], {in[1], in[2]}, c.compute, {});
        },
        {random({29, 43}), random({17, 43}, 0.02), random({5, 43}, 3.0)}, c.tolerance);
  }
}

TEST(Ops, BinaryLinear) {
  for (const Case& c : kCases) {
    for (const InputRange range : {InputRange::kPerToken, InputRange::kAllTokens}) {
      expect_same(
          [&](const Inputs& in) {
            return binary_linear(in[0], {in[1], in[2]}, c.compute, range);
          },
          [&](const Inputs& in) {
            return reference::low_bit_linear(in[0], {in[1], in[2]}, c.compute,
                                             {.kind = LinearKind::kB1, .range = range});
          },
          {random({29, 43}), random({17, 43}, 0.02) + 0.01, random({5, 43}, 3.0)}, c.tolerance);
    }
  }
}

// By hand: the mean of the weights is 1, so only what is above it is +1; beta is the mean of their
// magnitudes, 2.
TEST(Ops, BinaryLinearCentresItsWeights) {
  const at::Tensor weight = at::tensor({1.0f, 3.0f, -2.0f, 2.0f}).view({1, 4});
  const at::Tensor x = at::tensor({127.0f, 1.0f, 2.0f, 3.0f}).view({1, 4});
  const at::Tensor y = binary_linear(x, {weight}, at::kFloat, InputRange::kPerToken);
  EXPECT_FLOAT_EQ(y.item<float>(), 2.0f * (-127.0f + 1.0f - 2.0f + 3.0f));
}

// With one scale for all, the large token leaves the small one only a few levels.
TEST(Ops, BinaryLinearSharesARangeWhileItTrains) {
  const at::Tensor weight = at::tensor({1.0f, -1.0f}).view({1, 2});
  const at::Tensor x = at::tensor({127.0f, 0.0f, 0.4f, 0.0f}).view({2, 2});
  const auto second = [&](InputRange range) {
    return binary_linear(x, {weight}, at::kFloat, range)[1].item<float>();
  };
  EXPECT_FLOAT_EQ(second(InputRange::kAllTokens), 0.0f);
  EXPECT_FLOAT_EQ(second(InputRange::kPerToken), 0.4f);
}

TEST(Ops, PlainNorm) {
  for (const int64_t n : {5, 64, 172}) {
    expect_same([](const Inputs& in) { return plain_norm(in[0]); },
                [](const Inputs& in) { return reference::plain_norm(in[0]); },
                {random({37, n}, 3.0) + 1.0}, 2e-6);
  }
}

TEST(Ops, TernaryLinearOfZerosIsZero) {
  const at::Tensor y = ternary_linear(at::zeros({3, 8}), {at::zeros({4, 8})}, at::kFloat);
  EXPECT_EQ(y.abs().max().item<float>(), 0.0f);
}

TEST(Ops, Attention) {
  const RotaryTable rotary = rotary_table(600, 16, 10000.0, at::kCPU);
  for (const Case& c : kCases) {
    for (const int64_t kv_heads : {1, 2, 4}) {
      // Within a block of queries, at the end of one, and over several.
      for (const int64_t length : {33, 128, 129, 300, 600}) {
        const AttentionShape shape{2, length, 4, kv_heads, 16};
        expect_same(
            [&](const Inputs& in) { return attention(in[0], rotary, shape, c.compute); },
            [&](const Inputs& in) { return reference::attention(in[0], rotary, shape, c.compute); },
            {random({2 * length, (4 + 2 * kv_heads) * 16})}, c.tolerance);
      }
    }
  }
}

TEST(Ops, AttentionSeesNoFuture) {
  const RotaryTable rotary = rotary_table(9, 8, 10000.0, at::kCPU);
  const AttentionShape shape{1, 9, 2, 1, 8};
  const at::Tensor x = random({9, 32});
  at::Tensor changed = x.clone();
  changed.narrow(0, 6, 3).mul_(-2.0);
  const at::Tensor a = attention(x, rotary, shape, at::kFloat).narrow(0, 0, 6);
  const at::Tensor b = attention(changed, rotary, shape, at::kFloat).narrow(0, 0, 6);
  EXPECT_TRUE(at::equal(a, b));
}

TEST(Ops, HeadLoss) {
  at::Tensor targets = at::randint(0, 101, {1500}, at::kLong);
  targets[3] = -1;
  for (const Case& c : kCases) {
    expect_same(
        [&](const Inputs& in) { return head_loss(in[0], in[1], targets, c.compute); },
        [&](const Inputs& in) { return test::plain_head_loss(in[0], in[1], targets, c.compute); },
        {random({1500, 24}), random({101, 24})}, c.tolerance);
  }
}

TEST(Ops, HeadLossWithHugeLogitsIsFinite) {
  const at::Tensor hidden = random({4, 8}, 1e4).set_requires_grad(true);
  const at::Tensor loss =
      head_loss(hidden, random({11, 8}, 1e3), at::zeros({4}, at::kLong), at::kFloat);
  torch::autograd::backward({loss}, {});
  EXPECT_TRUE(at::isfinite(loss).item<bool>());
  EXPECT_TRUE(at::isfinite(hidden.grad()).all().item<bool>());
}

}  // namespace
}  // namespace tercet::learn
