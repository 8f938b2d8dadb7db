// SPDX-License-Identifier: Apache-2.0
// What the tests of linear maps' quantization have in common.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "learn/ptq/low_bit_matrix.h"

namespace tercet::learn {

inline at::Tensor random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn({rows, cols}, at::kFloat);
}

inline at::Tensor random_hessian(int64_t n, uint64_t seed) {
  const at::Tensor x = random_matrix(4 * n, n, seed);
  return (at::matmul(x.t(), x) / static_cast<double>(4 * n)).contiguous();
}

inline double error_of(const at::Tensor& values, const at::Tensor& weight, const at::Tensor& h) {
  const at::Tensor d = (weight - values).to(at::kDouble);
  return (at::matmul(d, h.to(at::kDouble)) * d).sum().item<double>();
}

inline const Grouping kRow{packing::ScaleScope::kRow, 0};
inline const Grouping kTensor{packing::ScaleScope::kTensor, 0};
inline const Grouping kGroup5{packing::ScaleScope::kGroup, 5};

}  // namespace tercet::learn
