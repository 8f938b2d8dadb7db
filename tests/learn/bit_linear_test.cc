// SPDX-License-Identifier: Apache-2.0
// BitLinear and swapped Linear layers against the formulas of the papers, written here in plain
// tensor algebra with libtorch's own gradients.
#include "learn/bit_linear/bit_linear.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/serialize.h>

#include <cmath>
#include <limits>
#include <sstream>

namespace tercet {
namespace {

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / (b.norm() + 1e-20)).item<double>();
}

at::Tensor straight_through(const at::Tensor& latent, const at::Tensor& rounded) {
  return latent + (rounded - latent).detach();
}

at::Tensor expected_input(const at::Tensor& input, const BitLinearOptions& bits) {
  at::Tensor x = input;
  if (bits.input_norm() == InputNorm::kRms) x = x * at::rsqrt(x.pow(2).mean(-1, true) + 1e-5);
  if (bits.input_norm() == InputNorm::kLayer) {
    const at::Tensor centred = x - x.mean(-1, true);
    x = centred * at::rsqrt(centred.pow(2).mean(-1, true) + 1e-5);
  }
  if (bits.activation_range() == ActivationRange::kPerTokenFourBits) {
    const at::Tensor unit = x.detach().abs().mean(-1, true) / std::sqrt(7.0);
    return straight_through(x, (x / unit).round().clamp(-8, 7) * unit);
  }
  const at::Tensor largest = bits.activation_range() == ActivationRange::kPerToken
                                 ? x.detach().abs().amax(-1, true)
                                 : x.detach().abs().amax();
  return straight_through(x, (x * (127 / largest)).round() * largest / 127);
}

at::Tensor expected_weight(const at::Tensor& weight, BitKind kind) {
  const at::Tensor scale = weight.detach().abs().mean();
  const at::Tensor codes = kind == BitKind::kB1
                               ? at::where(weight > weight.detach().mean(), at::ones_like(weight),
                                           -at::ones_like(weight))
                               : (weight / scale).round().clamp(-1, 1);
  return straight_through(weight, codes * scale);
}

at::Tensor expected_output(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           const BitLinearOptions& bits) {
  const at::Tensor y =
      at::matmul(expected_input(x, bits), expected_weight(weight, bits.kind()).t());
  return bias.defined() ? y + bias : y;
}

std::vector<BitLinearOptions> all_options() {
  std::vector<BitLinearOptions> all;
  for (const BitKind kind : {BitKind::kB158, BitKind::kB1}) {
    for (const ActivationRange range :
         {ActivationRange::kPerToken, ActivationRange::kPerTensor,
          ActivationRange::kPerTensorWhenGradRecorded, ActivationRange::kPerTokenFourBits}) {
      for (const InputNorm norm : {InputNorm::kNone, InputNorm::kRms, InputNorm::kLayer}) {
        all.push_back(BitLinearOptions().kind(kind).activation_range(range).input_norm(norm));
      }
    }
  }
  return all;
}

torch::nn::LinearOptions size(int64_t in, int64_t out, bool bias = true) {
  return torch::nn::LinearOptions(in, out).bias(bias);
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

void expect_error(const std::string& words, const std::function<void()>& action) {
  EXPECT_NE(message_of(action).find(words), std::string::npos) << message_of(action);
}

// A layer's output and gradients against the formulas, for one input.
void expect_formula(BitLinear layer, const at::Tensor& input, double tolerance) {
  const at::Tensor x = input.clone().set_requires_grad(true);
  const at::Tensor weight = layer->weight.detach().clone().set_requires_grad(true);
  at::Tensor bias;
  if (layer->bias.defined()) bias = layer->bias.detach().clone().set_requires_grad(true);
  const at::Tensor other = input.clone().set_requires_grad(true);
  const at::Tensor y = layer(x);
  const at::Tensor expected = expected_output(other, weight, bias, layer->bits);
  ASSERT_EQ(y.sizes(), expected.sizes());
  EXPECT_LT(relative_error(y, expected), tolerance);
  const at::Tensor direction = at::randn(y.sizes());
  torch::autograd::backward({(y * direction).sum()}, {});
  torch::autograd::backward({(expected * direction).sum()}, {});
  EXPECT_LT(relative_error(x.grad(), other.grad()), tolerance);
  EXPECT_LT(relative_error(layer->weight.grad(), weight.grad()), tolerance);
  if (bias.defined()) {
    EXPECT_LT(relative_error(layer->bias.grad(), bias.grad()), tolerance);
  }
}

TEST(BitLinear, EqualsTheFormulas) {
  at::manual_seed(1);
  for (const BitLinearOptions& bits : all_options()) {
    for (const std::vector<int64_t>& shape :
         std::vector<std::vector<int64_t>>{{43}, {29, 43}, {2, 3, 43}, {1, 1, 1, 43}}) {
      for (const bool bias : {false, true}) {
        std::ostringstream text;
        BitLinear layer(size(43, 17, bias), bits);
        text << layer << " on " << at::IntArrayRef(shape);
        SCOPED_TRACE(text.str());
        expect_formula(layer, at::randn(shape) + 0.3, 3e-6);
      }
    }
  }
}

TEST(BitLinear, ProductsInBf16AreClose) {
  for (const BitKind kind : {BitKind::kB158, BitKind::kB1}) {
    BitLinear layer(size(130, 33), BitLinearOptions().kind(kind).compute(torch::kBFloat16));
    expect_formula(layer, at::randn({19, 130}), 2e-2);
  }
}

// The publication's range: all tokens while it trains, each token afterwards.
TEST(BitLinear, B1ChangesItsRangeWithGradients) {
  BitLinear layer(size(24, 5), BitLinearOptions::b1());
  EXPECT_EQ(layer->bits.kind(), BitKind::kB1);
  EXPECT_EQ(layer->bits.input_norm(), InputNorm::kLayer);
  const at::Tensor x = at::randn({7, 24});
  const auto with = [&](ActivationRange range) {
    return expected_output(x, layer->weight, layer->bias,
                           BitLinearOptions(layer->bits).activation_range(range));
  };
  EXPECT_LT(relative_error(layer(x), with(ActivationRange::kPerTensor)), 3e-6);
  const at::NoGradGuard no_gradients;
  EXPECT_LT(relative_error(layer(x), with(ActivationRange::kPerToken)), 3e-6);
  EXPECT_GT(relative_error(layer(x), with(ActivationRange::kPerTensor)), 1e-4);
}

TEST(BitLinear, StartsAsLinearDoes) {
  at::manual_seed(7);
  const torch::nn::Linear linear(20, 6);
  at::manual_seed(7);
  const BitLinear layer(20, 6);
  EXPECT_TRUE(at::equal(layer->weight, linear->weight));
  EXPECT_TRUE(at::equal(layer->bias, linear->bias));
  EXPECT_TRUE(layer->weight.requires_grad());
  EXPECT_FALSE(BitLinear(size(20, 6, false))->bias.defined());
}

TEST(BitLinear, KeepsTheTypeOfItsInput) {
  BitLinear layer(64, 9);
  const at::Tensor x = at::randn({5, 64});
  const at::Tensor exact = layer->forward(x);
  for (const auto type : {at::kBFloat16, at::kHalf, at::kDouble}) {
    const at::Tensor typed = x.to(type).set_requires_grad(true);
    const at::Tensor y = layer->forward(typed);
    EXPECT_EQ(y.scalar_type(), type);
    EXPECT_LT(relative_error(y.to(at::kFloat), exact), 2e-2);
    torch::autograd::backward({y.to(at::kFloat).sum()}, {});
    EXPECT_EQ(typed.grad().scalar_type(), type);
    EXPECT_EQ(layer->weight.grad().scalar_type(), at::kFloat);
  }
}

TEST(BitLinear, WorksWithWeightsOfOtherTypes) {
  BitLinear layer(64, 9);
  const at::Tensor x = at::randn({5, 64});
  const at::Tensor exact = layer->forward(x);
  layer->to(at::kDouble);
  EXPECT_LT(relative_error(layer->forward(x), exact), 1e-6);
  layer->to(at::kBFloat16);
  const at::Tensor y = layer->forward(x.to(at::kBFloat16));
  torch::autograd::backward({y.sum()}, {});
  EXPECT_EQ(layer->weight.grad().scalar_type(), at::kBFloat16);
}

TEST(BitLinear, TakesInputsThatAreNotContiguousOrEmpty) {
  for (const BitLinearOptions& bits : all_options()) {
    BitLinear layer(size(6, 4), bits);
    const at::Tensor wide = at::randn({6, 5});
    EXPECT_TRUE(at::equal(layer(wide.t()), layer(wide.t().contiguous())));
    EXPECT_EQ(layer(at::empty({0, 6})).sizes(), (std::vector<int64_t>{0, 4}));
    EXPECT_EQ(layer(at::empty({3, 0, 6})).sizes(), (std::vector<int64_t>{3, 0, 4}));
  }
}

TEST(BitLinear, RefusesWhatDoesNotFit) {
  BitLinear layer(6, 4);
  expect_error("in_features 6 got an input of shape [2, 7]", [&] { layer(at::randn({2, 7})); });
  expect_error("in_features 6", [&] { layer(at::scalar_tensor(1.0)); });
  expect_error("floating-point", [&] { layer(at::ones({2, 6}, at::kLong)); });
  BitLinear half(size(6, 4), BitLinearOptions().compute(torch::kHalf));
  expect_error("not in Half", [&] { half(at::randn({2, 6})); });
  expect_error("meta", [&] { layer(at::empty({2, 6}, at::TensorOptions().device(at::kMeta))); });
}

TEST(BitLinear, RefusesSecondDerivatives) {
  BitLinear layer(6, 4);
  torch::nn::Linear swapped(6, 4);
  swap_linear_layers(*swapped);
  for (const bool use_swapped : {false, true}) {
    const at::Tensor x = at::randn({3, 6}).set_requires_grad(true);
    const at::Tensor y = (use_swapped ? swapped(x) : layer(x)).pow(2).sum();
    expect_error("no second derivatives",
                 [&] { torch::autograd::grad({y}, {x}, {}, true, /*create_graph=*/true); });
  }
}

TEST(BitLinear, ClonesAsItself) {
  BitLinear layer(size(12, 4), BitLinearOptions::b1());
  const auto copy = std::dynamic_pointer_cast<BitLinearImpl>(layer->clone());
  ASSERT_NE(copy, nullptr);
  const at::Tensor x = at::randn({3, 12});
  EXPECT_TRUE(at::equal(copy->forward(x), layer(x)));
  const at::NoGradGuard no_gradients;
  copy->weight.neg_();
  EXPECT_FALSE(at::equal(copy->forward(x), layer(x)));
}

template <typename From, typename To>
void expect_loads(const From& from, To& to) {
  std::stringstream file;
  torch::save(from, file);
  torch::load(to, file);
  EXPECT_TRUE(at::equal(to->named_parameters()["weight"], from->named_parameters()["weight"]));
  EXPECT_TRUE(at::equal(to->named_parameters()["bias"], from->named_parameters()["bias"]));
}

TEST(BitLinear, SavesAndLoadsLikeLinear) {
  const torch::nn::Linear linear(5, 3);
  BitLinear layer(5, 3);
  expect_loads(linear, layer);
  torch::nn::Linear back(5, 3);
  const BitLinear source(5, 3);
  expect_loads(source, back);
  torch::nn::Linear swapped(5, 3);
  swap_linear_layers(*swapped);
  expect_loads(source, swapped);
  torch::nn::Linear plain(5, 3);
  expect_loads(swapped, plain);
  const at::Tensor x = at::randn({2, 5});
  BitLinear same = source;
  EXPECT_TRUE(at::equal(swapped(x), same(x)));
}

// The weights that multiply, by hand: mean |w| is 2, 1 / 2 rounds to 0, 3 / 2 to 2 and then to 1.
TEST(Packing, RoundsByHand) {
  const at::Tensor weight = at::tensor({1.0f, 3.0f, -4.0f, 0.0f}).view({2, 2});
  const BitWeight ternary = quantized_weight(weight);
  EXPECT_TRUE(at::equal(ternary.codes, at::tensor({0, 1, -1, 0}, at::kChar).view({2, 2})));
  EXPECT_EQ(ternary.scale, 2.0f);
  const BitWeight binary = quantized_weight(weight, BitKind::kB1);  // mean w is 0
  EXPECT_TRUE(at::equal(binary.codes, at::tensor({1, 1, -1, -1}, at::kChar).view({2, 2})));
  EXPECT_EQ(binary.scale, 2.0f);
}

TEST(Packing, RoundTripsThroughAFile) {
  for (const BitKind kind : {BitKind::kB158, BitKind::kB1}) {
    const BitLinear layer(size(173, 31), BitLinearOptions().kind(kind));
    const at::Tensor packed = pack_weight(layer->weight, kind);
    const double codes = 31 * (kind == BitKind::kB1 ? 22 : 35);  // bytes of rows of 173
    EXPECT_LE(packed.numel(), codes + 64 + 64 + 64);
    std::stringstream file;
    torch::save(packed, file);
    at::Tensor loaded;
    torch::load(loaded, file);
    const BitWeight weight = unpack_weight(loaded);
    const BitWeight direct = quantized_weight(layer->weight, kind);
    EXPECT_TRUE(at::equal(weight.codes, direct.codes));
    EXPECT_EQ(weight.scale, direct.scale);
    const at::Tensor effective = weight.codes.to(at::kFloat) * weight.scale;
    EXPECT_LT(relative_error(effective, expected_weight(layer->weight, kind).detach()), 1e-6);
  }
}

TEST(Packing, RefusesWhatItCannotHold) {
  at::Tensor weight = at::randn({4, 7});
  const at::Tensor packed = pack_weight(weight);
  weight[2][3] = std::numeric_limits<float>::quiet_NaN();
  expect_error("weight", [&] { pack_weight(weight); });
  expect_error("[out_features, in_features]", [&] { pack_weight(at::randn({4})); });
  expect_error("uint8", [&] { unpack_weight(at::randn({4})); });
  expect_error("packed weights", [&] { unpack_weight(packed.narrow(0, 0, 100)); });
  at::Tensor damaged = packed.clone();
  damaged[64] = 255;  // no five trits
  expect_error("packed weights", [&] { unpack_weight(damaged); });
}

}  // namespace
}  // namespace tercet
