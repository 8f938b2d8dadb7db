// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/input_transforms.h"

#include <gtest/gtest.h>

#include "learn/nn/reference_ops.h"
#include "learn/op_support.h"

namespace tercet::learn {
namespace {

using test::expect_same;
using test::Inputs;
using test::random;

TEST(InputTransforms, HadamardAgreesWithTensorAlgebra) {
  for (const int64_t n : {1, 2, 12, 43, 48, 96, 172, 256, 768}) {
    expect_same([](const Inputs& in) { return hadamard(in[0]); },
                [](const Inputs& in) { return reference::hadamard(in[0]); }, {random({19, n})},
                2e-6);
  }
}

// Symmetric and orthogonal: twice is nothing, lengths stay.
TEST(InputTransforms, HadamardIsItsOwnInverse) {
  const at::Tensor x = random({7, 96});
  const at::Tensor y = hadamard(x);
  EXPECT_TRUE(at::allclose(hadamard(y), x, 1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(y.square().sum(1), x.square().sum(1), 1e-4, 1e-4));
  EXPECT_FALSE(at::allclose(y, x, 1e-1, 1e-1));
}

TEST(InputTransforms, TopKAgreesWithTensorAlgebra) {
  for (const int64_t n : {1, 5, 64, 173}) {
    for (const int64_t count : {int64_t{1}, (n + 1) / 2, n}) {
      expect_same([&](const Inputs& in) { return keep_largest(in[0], count); },
                  [&](const Inputs& in) { return reference::keep_largest(in[0], count); },
                  {random({23, n})}, 1e-12);
      const at::Tensor y = keep_largest(random({23, n}), count);
      EXPECT_TRUE((y != 0).sum(1).eq(count).all().item<bool>());
    }
  }
}

TEST(InputTransforms, WhatIsDroppedGetsNoGradient) {
  const at::Tensor x = at::tensor({3.0f, -1.0f, -4.0f, 2.0f}).view({1, 4}).set_requires_grad(true);
  torch::autograd::backward({keep_largest(x, 2).sum()}, {});
  EXPECT_TRUE(x.grad().equal(at::tensor({1.0f, 0.0f, 1.0f, 0.0f}).view({1, 4})));
}

}  // namespace
}  // namespace tercet::learn
