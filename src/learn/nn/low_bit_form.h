// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "learn/nn/ops.h"

namespace tercet::learn {

// How a low-bit map rounds its weights and its inputs. The defaults are BitNet b1.58.
struct LowBitForm {
  LinearKind kind = LinearKind::kB158;  // or kB1
  InputRange range = InputRange::kPerToken;
  // Columns fall into so many groups of one size, each a map of its own with means, scales and
  // shifts of its own, whose results are added (methods.md 1.1).
  int64_t groups = 1;
  // From x its smallest element (of the token, or of all with kAllTokens) is subtracted, so that
  // codes start at 0, and the map of that constant is added again.
  bool shifted = false;
};

// x W^T with weights and inputs rounded as `form` says, for several weights that share an input,
// side by side; shapes, types and cache as in ternary_linear(). Gradients go straight through all
// roundings and shifts: dx = dy Q(W), dW = dy^T Q(x).
at::Tensor low_bit_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute, const LowBitForm& form,
                          CodeCache* cache = nullptr);

// The same on the way from dense to low-bit (methods.md 19): with x + share (Q(x) - x) and
// w + share (Q(w) - w) in the places of Q(x) and Q(W). share 0 is dense_linear(), 1
// low_bit_linear().
at::Tensor fading_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                         at::ScalarType compute, const LowBitForm& form, double share,
                         CodeCache* cache = nullptr);

// low_bit_linear() without groups and shift, on the CPU.
at::Tensor integer_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute, LinearKind kind, InputRange range,
                          CodeCache* cache = nullptr);

}  // namespace tercet::learn
