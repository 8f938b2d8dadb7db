// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace tercet::learn {

// Queries [n, heads, length, dim], keys and values [n, kv_heads, length, dim], f32 or bf16 on the
// CPU; heads / kv_heads queries share a key.
struct AttentionHeads {
  at::Tensor q, k, v;
};

// Causal softmax attention, a block of queries at a time: a block meets the keys up to its end only,
// so that nearly half of the square is neither computed nor stored.
struct CausalAttention {
  at::Tensor mixed;                       // as q
  std::vector<at::Tensor> probabilities;  // of each block, [n kv_heads, queries, keys]
};
CausalAttention causal_attention(const AttentionHeads& heads, float scale);

// The gradients of q, k and v from that of `mixed`.
AttentionHeads causal_attention_backward(const at::Tensor& dmixed, const AttentionHeads& heads,
                                         const std::vector<at::Tensor>& probabilities,
                                         float scale);

}  // namespace tercet::learn
