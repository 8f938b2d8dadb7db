// SPDX-License-Identifier: Apache-2.0
// What runs on devices other than the CPU, run on the CPU: against plain tensor algebra, and whole
// models against the fused loops.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <tuple>
#include <vector>

#include "learn/nn/device_ops.h"
#include "learn/nn/device_path.h"
#include "learn/nn/low_bit_form.h"
#include "learn/nn/reference_ops.h"
#include "learn/nn/transformer.h"
#include "learn/op_support.h"

namespace tercet::learn {
namespace {

using test::Case;
using test::expect_same;
using test::Inputs;
using test::kCases;
using test::relative_error;

TEST(DeviceOps, LowBitLinear) {
  at::manual_seed(2);
  LowBitForm form;
  for (const Case& c : kCases) {
    for (const LinearKind kind : {LinearKind::kB158, LinearKind::kB1}) {
      for (const InputRange range :
           {InputRange::kPerToken, InputRange::kAllTokens, InputRange::kFourBits}) {
        form.kind = kind;
        form.range = range;
        expect_same(
            [&](const Inputs& in) {
              return device::low_bit_linear(in[0], {in[1], in[2]}, c.compute, kind, range);
            },
            [&](const Inputs& in) {
              return reference::low_bit_linear(in[0], {in[1], in[2]}, c.compute, form);
            },
            {at::randn({29, 43}), at::randn({17, 43}) * 0.02 + 0.01, at::randn({5, 43}) * 3},
            c.tolerance);
      }
    }
  }
}

TEST(DeviceOps, FourBitInputs) {
  at::manual_seed(3);
  const LowBitForm form{LinearKind::kB158, InputRange::kFourBits};
  for (const Case& c : kCases) {
    expect_same(
        [&](const Inputs& in) {
          return device::low_bit_linear(in[0], {in[1]}, c.compute, form.kind, form.range);
        },
        [&](const Inputs& in) {
          return reference::low_bit_linear(in[0], {in[1]}, c.compute, form);
        },
        {at::randn({29, 43}), at::randn({17, 43})}, c.tolerance);
  }
}

// bf16 holds the codes, and sums of up to 256, exactly: only the result is rounded.
TEST(DeviceOps, Bf16ProductsOfCodesAreExact) {
  const at::Tensor x = at::randint(-127, 128, {9, 64}).to(at::kFloat);
  x.select(1, 0).fill_(127);
  const at::Tensor weight = at::randn({7, 64});
  const auto product = [&](at::ScalarType compute) {
    return device::low_bit_linear(x, {weight}, compute, LinearKind::kB158, InputRange::kPerToken);
  };
  const at::Tensor exact = product(at::kFloat);
  EXPECT_LT(
      ((product(at::kBFloat16) - exact).abs() / exact.abs().clamp_min(1e-3)).max().item<float>(),
      1.0 / 256 + 1e-6);
}

TEST(DeviceOps, Attention) {
  const RotaryTable rotary = rotary_table(40, 16, 10000.0, at::kCPU);
  for (const Case& c : kCases) {
    for (const int64_t kv_heads : {1, 2, 4}) {
      const AttentionShape shape{3, 33, 4, kv_heads, 16};
      expect_same(
          [&](const Inputs& in) { return device::attention(in[0], rotary, shape, c.compute); },
          [&](const Inputs& in) { return reference::attention(in[0], rotary, shape, c.compute); },
          {at::randn({3 * 33, (4 + 2 * kv_heads) * 16})}, c.tolerance);
    }
  }
}

// In one block, in blocks of 11 rows and row by row.
TEST(DeviceOps, HeadLoss) {
  at::Tensor targets = at::randint(0, 101, {150}, at::kLong);
  targets[3] = -1;
  for (const Case& c : kCases) {
    for (const int64_t block : {1 << 20, 11 * 101 + 5, 1}) {
      expect_same(
          [&](const Inputs& in) {
            return device::head_loss(in[0], in[1], targets, c.compute, block);
          },
          [&](const Inputs& in) { return test::plain_head_loss(in[0], in[1], targets, c.compute); },
          {at::randn({150, 24}), at::randn({101, 24})}, c.tolerance);
    }
  }
}

struct Family {
  const char* name;
  LinearKind linear;
  NormPlacement norm;
  Activation act;
};

ModelConfig config_of(const Family& family) {
  ModelConfig config;
  config.vocab_size = 300;
  config.hidden_size = 64;
  config.intermediate_size = 172;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 64;
  config.linear = family.linear;
  config.norm = family.norm;
  config.hidden_act = family.act;
  return config;
}

struct Pass {
  double loss = 0;
  std::vector<at::Tensor> gradients;
};

Pass pass_of(Transformer& model, const at::Tensor& windows, at::ScalarType compute) {
  Pass pass;
  const at::Tensor loss = model.loss(windows, compute);
  torch::autograd::backward({loss}, {});
  pass.loss = loss.item<double>();
  for (Parameter& p : model.parameters()) {
    pass.gradients.push_back(p.value.grad().clone());
    p.value.mutable_grad().reset();
  }
  return pass;
}

class DeviceModel : public testing::TestWithParam<Family> {};

// A rounding that falls the other way moves one of 255 levels; such steps are what is left of the
// differences.
TEST_P(DeviceModel, LossAndGradientsEqualTheFusedLoops) {
  at::manual_seed(4);
  Transformer model(config_of(GetParam()), 3, at::kCPU);
  const at::Tensor windows = at::randint(0, 300, {3, 41}, at::kLong);
  for (const auto& [compute, loss_tolerance, tolerance] :
       {std::tuple{at::kFloat, 1e-5, 2e-3}, std::tuple{at::kBFloat16, 3e-3, 6e-2}}) {
    const Pass fused = pass_of(model, windows, compute);
    const DevicePathGuard device_path;
    const Pass plain = pass_of(model, windows, compute);
    EXPECT_NEAR(plain.loss, fused.loss, loss_tolerance * fused.loss);
    for (size_t i = 0; i < fused.gradients.size(); ++i) {
      EXPECT_LT(relative_error(plain.gradients[i], fused.gradients[i]), tolerance)
          << model.parameters()[i].name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, DeviceModel,
    testing::Values(Family{"b158", LinearKind::kB158, NormPlacement::kSub, Activation::kRelu2},
                    Family{"b158_inside", LinearKind::kB158, NormPlacement::kInside,
                           Activation::kSilu},
                    Family{"b1", LinearKind::kB1, NormPlacement::kInsidePlain, Activation::kSilu},
                    Family{"b158_llama", LinearKind::kB158, NormPlacement::kPre, Activation::kSilu},
                    Family{"b1_llama", LinearKind::kB1, NormPlacement::kPre, Activation::kSilu},
                    Family{"llama", LinearKind::kDense, NormPlacement::kPre, Activation::kSilu}),
    [](const auto& family) { return std::string(family.param.name); });

}  // namespace
}  // namespace tercet::learn
