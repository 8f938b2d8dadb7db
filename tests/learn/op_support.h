// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <vector>

#include "learn/nn/reference_ops.h"

namespace tercet::learn::test {

using Inputs = std::vector<at::Tensor>;
using Op = std::function<at::Tensor(const Inputs&)>;

inline at::Tensor random(at::IntArrayRef shape, double deviation = 1.0) {
  return at::randn(shape) * deviation;
}

inline double relative_error(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / (b.norm() + 1e-20)).item<double>();
}

// Outputs and all input gradients of `fused` and `plain` agree within `tolerance` relative RMS.
inline void expect_same(const Op& fused, const Op& plain, const Inputs& inputs, double tolerance) {
  Inputs left, right;
  for (const at::Tensor& input : inputs) {
    left.push_back(input.clone().set_requires_grad(true));
    right.push_back(input.clone().set_requires_grad(true));
  }
  const at::Tensor y = fused(left);
  const at::Tensor expected = plain(right);
  ASSERT_EQ(y.sizes(), expected.sizes());
  EXPECT_LT(relative_error(y, expected), tolerance);
  const at::Tensor weights = at::randn(y.sizes());
  torch::autograd::backward({(y * weights).sum()}, {});
  torch::autograd::backward({(expected * weights).sum()}, {});
  for (size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_TRUE(left[i].grad().defined()) << "input " << i;
    EXPECT_LT(relative_error(left[i].grad(), right[i].grad()), tolerance) << "input " << i;
  }
}

// The mean cross entropy of targets that are not negative, with libtorch's own gradients.
inline at::Tensor plain_head_loss(const at::Tensor& hidden, const at::Tensor& weight,
                                  const at::Tensor& targets, at::ScalarType compute) {
  const at::Tensor logits = reference::dense_linear(hidden, {weight}, compute);
  const at::Tensor ignored = at::where(targets < 0, at::full_like(targets, -100), targets);
  const at::Tensor sum = at::cross_entropy_loss(logits, ignored, {}, at::Reduction::Sum);
  return sum / targets.ge(0).sum().clamp_min(1);
}

// f32, and bf16 where both sides round to 8 bits at different places.
struct Case {
  at::ScalarType compute;
  double tolerance;
};
inline const Case kCases[] = {{at::kFloat, 2e-6}, {at::kBFloat16, 2e-2}};

}  // namespace tercet::learn::test
