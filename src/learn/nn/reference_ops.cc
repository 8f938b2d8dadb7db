// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/reference_ops.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace tercet::learn::reference {
namespace {

at::Tensor product(const at::Tensor& x, const at::Tensor& weight, at::ScalarType compute) {
  return at::matmul(x.to(compute), weight.to(compute).t()).to(at::kFloat);
}

at::Tensor straight_through(const at::Tensor& latent, const at::Tensor& quantized) {
  return latent + (quantized - latent).detach();
}

// x by int8.
at::Tensor rounded_input(const at::Tensor& x, InputRange range) {
  const at::Tensor magnitude = x.detach().abs();
  const at::Tensor absmax =
      range == InputRange::kPerToken ? std::get<0>(magnitude.max(-1, true)) : magnitude.max();
  const at::Tensor scale = 127.0 / absmax.clamp_min(1e-5);
  return straight_through(x, (x * scale).round().clamp(-128, 127) / scale);
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return x * at::rsqrt(x.square().mean(-1, true) + eps) * weight;
}

at::Tensor dense_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                        at::ScalarType compute) {
  return product(x, at::cat(weights, 0), compute);
}

at::Tensor plain_norm(const at::Tensor& x) {
  return at::layer_norm(x, {x.size(-1)}, {}, {}, static_cast<double>(kPlainNormEps));
}

at::Tensor ternary_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute) {
  std::vector<at::Tensor> quantized;
  for (const at::Tensor& weight : weights) {
    const double mean = weight.detach().abs().mean(at::kDouble).item<double>();
    const float gamma = std::max(static_cast<float>(mean), 1e-5f);
    const at::Tensor codes = (weight * (1.0f / gamma)).round().clamp(-1, 1);
    quantized.push_back(straight_through(weight, codes * gamma));
  }
  return product(rounded_input(x, InputRange::kPerToken), at::cat(quantized, 0), compute);
}

at::Tensor binary_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                         at::ScalarType compute, InputRange range) {
  std::vector<at::Tensor> quantized;
  for (const at::Tensor& weight : weights) {
    const at::Tensor latent = weight.detach();
    const float beta =
        std::max(static_cast<float>(latent.abs().mean(at::kDouble).item<double>()), 1e-5f);
    const float alpha = static_cast<float>(latent.mean(at::kDouble).item<double>());
    const at::Tensor codes = (latent > alpha).to(at::kFloat) * 2 - 1;
    quantized.push_back(straight_through(weight, codes * beta));
  }
  return product(rounded_input(x, range), at::cat(quantized, 0), compute);
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

at::Tensor head_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                     at::ScalarType compute) {
  const at::Tensor logits = product(hidden, weight, compute);
  const at::Tensor ignored = at::full_like(targets, -100);
  const at::Tensor sum = at::cross_entropy_loss(logits, at::where(targets < 0, ignored, targets),
                                                {}, at::Reduction::Sum);
  return sum / targets.ge(0).sum().clamp_min(1);
}

}  // namespace tercet::learn::reference
