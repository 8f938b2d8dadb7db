// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/reference_ops.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace tercet::learn::reference {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return x * at::rsqrt(x.square().mean(-1, true) + eps) * weight;
}

at::Tensor dense_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                        at::ScalarType compute) {
  return at::matmul(x.to(compute), at::cat(weights, 0).to(compute).t()).to(at::kFloat);
}

at::Tensor plain_norm(const at::Tensor& x) {
  return at::layer_norm(x, {x.size(-1)}, {}, {}, static_cast<double>(kPlainNormEps));
}

at::Tensor rotate(const at::Tensor& x, const RotaryTable& rotary, const AttentionShape& shape) {
  // [1 or batch, 1, length, dim / 2]
  const auto angles = [&](const at::Tensor& table) {
    const at::Tensor rows = shape.documents == nullptr
                                ? table.narrow(0, 0, shape.length)
                                : table.index_select(0, shape.documents->position.view({-1}));
    return rows.view({-1, 1, shape.length, table.size(1)});
  };
  const at::Tensor cosine = angles(rotary.cosine);
  const at::Tensor sine = angles(rotary.sine);
  const std::vector<at::Tensor> halves = x.chunk(2, -1);
  return at::cat({halves[0] * cosine - halves[1] * sine, halves[1] * cosine + halves[0] * sine},
                 -1);
}

at::Tensor hidden_keys(const AttentionShape& shape, at::Device device) {
  const auto options = at::TensorOptions().dtype(at::kBool).device(device);
  const at::Tensor later =
      at::ones({shape.length, shape.length}, options).triu(1).view({1, 1, shape.length, -1});
  if (shape.documents == nullptr) return later;
  const at::Tensor& index = shape.documents->index;
  return later.logical_or(
      index.view({shape.batch, 1, -1, 1}).ne(index.view({shape.batch, 1, 1, -1})));
}

at::Tensor attention(const at::Tensor& projections, const RotaryTable& rotary,
                     const AttentionShape& shape, at::ScalarType compute) {
  const int64_t dim = shape.head_dim;
  const at::Tensor heads =
      projections.view({shape.batch, shape.length, shape.heads + 2 * shape.kv_heads, dim})
          .transpose(1, 2);
  const at::Tensor q = rotate(heads.narrow(1, 0, shape.heads), rotary, shape);
  at::Tensor k = rotate(heads.narrow(1, shape.heads, shape.kv_heads), rotary, shape);
  at::Tensor v = heads.narrow(1, shape.heads + shape.kv_heads, shape.kv_heads);
  k = k.repeat_interleave(shape.heads / shape.kv_heads, 1);
  v = v.repeat_interleave(shape.heads / shape.kv_heads, 1);
  const at::Tensor scores =
      at::matmul(q.to(compute), k.to(compute).transpose(-1, -2)).to(at::kFloat) /
      std::sqrt(static_cast<double>(dim));
  const at::Tensor hidden = hidden_keys(shape, projections.device());
  const at::Tensor p =
      scores.masked_fill(hidden, -std::numeric_limits<float>::infinity()).softmax(-1);
  const at::Tensor mixed = at::matmul(p.to(compute), v.to(compute)).to(at::kFloat);
  return mixed.transpose(1, 2).reshape({shape.batch * shape.length, shape.heads * dim});
}

at::Tensor glu(const at::Tensor& gate_up, Activation activation) {
  const std::vector<at::Tensor> halves = gate_up.chunk(2, -1);
  if (activation == Activation::kSilu) return at::silu(halves[0]) * halves[1];
  return at::relu(halves[0]).square() * halves[1];
}

}  // namespace tercet::learn::reference
