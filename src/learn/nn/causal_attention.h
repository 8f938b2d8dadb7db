// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace tercet::learn {

// Queries [n, heads, length, dim], keys and values [n, kv_heads, length, dim], f32 or bf16 on the
// CPU; heads / kv_heads queries share a key.
struct AttentionHeads {
  at::Tensor q, k, v;
};

// Causal softmax attention, a block of queries at a time: a block meets the keys up to its end
// only, so that nearly half of the square is neither computed nor stored. Fills `probabilities`,
// flat, of n * heads * causal_probabilities(length) elements, and returns the mixed values, as q.
at::Tensor causal_attention(const AttentionHeads& heads, const at::Tensor& probabilities,
                            float scale);

// What is stored of the square of one head.
int64_t causal_probabilities(int64_t length);

// The gradients of q, k and v from that of the mixed values.
AttentionHeads causal_attention_backward(const at::Tensor& dmixed, const AttentionHeads& heads,
                                         const at::Tensor& probabilities, float scale);

}  // namespace tercet::learn
