// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/nn/ops.h"

// What the functions of ops.h do on devices other than the CPU where libtorch's own gradients of
// plain tensor algebra (reference_ops.h) would take too much memory, round more than need be, or
// make the processor wait for the device. All of it runs on the CPU, too, where it is tested.
namespace tercet::learn::device {

// ternary_linear() and binary_linear(): products of integer codes in the compute type, which holds
// the codes exactly and rounds their sums.
at::Tensor low_bit_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute, LinearKind kind, InputRange range);

// With libtorch's fused attention, of which 1.13 has none: there it is that of reference_ops.h.
at::Tensor attention(const at::Tensor& projections, const RotaryTable& rotary,
                     const AttentionShape& shape, at::ScalarType compute);

// Logits exist for a block of rows at a time: at most `block_logits` in f32, by default 1 GiB.
at::Tensor head_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                     at::ScalarType compute, int64_t block_logits = int64_t{1} << 28);

}  // namespace tercet::learn::device
