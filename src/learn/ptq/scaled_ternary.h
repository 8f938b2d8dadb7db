// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <limits>

#include "learn/ptq/low_bit_matrix.h"

namespace tercet::learn {

inline constexpr double kHardTernary = std::numeric_limits<double>::infinity();

// exp(log_scale) T(w) for latent weights w [rows, cols], in one pass over them and one back.
// log_scale: [rows, groups] of neighbouring columns, or [1, 1]. With k = sharpness
//   T(w) = [tanh(k (w - 1/2)) + tanh(k (w + 1/2))] / (2 tanh k),
// w itself for small k, its ternary code for large ones (60 at most). With kHardTernary T is the
// code, the nearest of -1, 0 and 1, and gradients pass as if it were w. On the CPU.
at::Tensor scaled_ternary(const at::Tensor& w, const at::Tensor& log_scale,
                          const Grouping& grouping, double sharpness);

// T with kHardTernary. [rows, cols]
at::Tensor ternary_codes(const at::Tensor& w);

}  // namespace tercet::learn
