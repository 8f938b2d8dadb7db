// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "formats/model_config.h"
#include "learn/nn/documents.h"

namespace tercet::learn {

// The differentiable pieces of the transformer. Activations between them are f32 and contiguous,
// [tokens, features] with tokens = batch * sequence. `compute` (kFloat or kBFloat16) is the type in
// which matrix products are taken; everything else is f32. On the CPU they are fused loops around
// libtorch's products; on other devices they are those of
// device_ops.h and reference_ops.h.

// x / sqrt(mean(x^2) + eps) * weight over the last dimension. x: [tokens, n], weight: [n].
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

// (x - mean(x)) / sqrt(variance(x) + kPlainNormEps) over the last dimension. x: [tokens, n].
at::Tensor plain_norm(const at::Tensor& x);

// x W^T for several weights that share an input, side by side: x [tokens, in], weights [out_i, in],
// result [tokens, sum out_i]. Weights without gradients may be in the compute type already.
at::Tensor dense_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                        at::ScalarType compute);

class CodeCache;

// With what scale inputs are rounded.
enum class InputRange {
  kPerToken,   // the absmax of each token, to int8
  kAllTokens,  // the absmax of all tokens of the call, to int8
  kFourBits,   // mean |x| / sqrt(7) of each token, to [-8, 7] (BitNet a4.8, methods.md 4)
};

// BitNet b1.58 (methods.md 2.1): the same product with ternary weights, clamp(round(w / gamma), -1,
// 1) * gamma with gamma = mean |w| per weight, and x rounded to int8 by its absmax per token.
// Gradients go straight through both roundings. On the CPU the product is the runtime's own, exact
// in int32 whatever `compute` is, which is then the type of the backward products. With a cache the
// codes of the weights are kept for the next call.
at::Tensor ternary_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute, CodeCache* cache = nullptr);

// BitNet b1 (methods.md 1.1): the same with binary weights, sign(w - mean w) * mean |w|, where
// sign(0) = -1. While it trains, x is rounded with one scale for all tokens.
at::Tensor binary_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                         at::ScalarType compute, InputRange range, CodeCache* cache = nullptr);

// Angles of rotary embedding: cos and sin, each [length, head_dim / 2] f32, computed in f64.
struct RotaryTable {
  at::Tensor cosine;
  at::Tensor sine;
};
RotaryTable rotary_table(int64_t length, int64_t head_dim, double theta, at::Device device);

// Causal self-attention with grouped queries over projections [batch * length, (heads + 2 kv_heads)
// * head_dim] (queries, keys, values side by side): rotates queries and keys, scales by
// 1 / sqrt(head_dim). Result [batch * length, heads * head_dim]. With `documents` tokens see only
// their own document, at positions counted from its begin; the CPU then works on one square per
// document instead of one per sequence, as much less as that is.
struct AttentionShape {
  int64_t batch = 0;
  int64_t length = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  std::shared_ptr<const Documents> documents = nullptr;  // none: a sequence is one document
};
at::Tensor attention(const at::Tensor& projections, const RotaryTable& rotary,
                     const AttentionShape& shape, at::ScalarType compute);

// act(gate) * up. gate_up: [tokens, 2 n], gate first. Result [tokens, n].
at::Tensor glu(const at::Tensor& gate_up, Activation activation);

// rms_norm(glu(gate_up), weight, eps), or plain_norm(glu(gate_up)) if weight is undefined, to the
// same bits, without keeping the values in between.
at::Tensor glu_norm(const at::Tensor& gate_up, Activation activation, const at::Tensor& weight,
                    double eps);

// Mean cross entropy (nats) of hidden W^T against targets [tokens] (int64; below 0 = not counted;
// at least one must count). hidden: [tokens, d], weight: [vocab, d]. The logits exist only a block
// of rows at a time; gradients are computed in the forward pass.
at::Tensor head_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                     at::ScalarType compute);

}  // namespace tercet::learn
