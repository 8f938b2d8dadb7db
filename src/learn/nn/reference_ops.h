// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/nn/low_bit_form.h"
#include "learn/nn/ops.h"

// The functions of ops.h, low_bit_form.h and input_transforms.h written as plain tensor algebra
// with libtorch's own gradients: what the fused loops and device_ops.h are tested against, and for
// the operations that device_ops.h leaves out the path of devices other than the CPU.
namespace tercet::learn::reference {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);
at::Tensor dense_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                        at::ScalarType compute);
at::Tensor low_bit_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute, const LowBitForm& form);
at::Tensor fading_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                         at::ScalarType compute, const LowBitForm& form, double share);
at::Tensor hadamard(const at::Tensor& x);
at::Tensor keep_largest(const at::Tensor& x, int64_t count);
at::Tensor plain_norm(const at::Tensor& x);
// Rotary embedding of x [batch, heads, length, dim]; the first half of dim pairs with the second.
at::Tensor rotate(const at::Tensor& x, const RotaryTable& rotary, const AttentionShape& shape);
// What a query may not see, [1 or batch, 1, queries, keys]: later tokens and other documents.
at::Tensor hidden_keys(const AttentionShape& shape, at::Device device);
at::Tensor attention(const at::Tensor& projections, const RotaryTable& rotary,
                     const AttentionShape& shape, at::ScalarType compute);
at::Tensor glu(const at::Tensor& gate_up, Activation activation);

}  // namespace tercet::learn::reference
