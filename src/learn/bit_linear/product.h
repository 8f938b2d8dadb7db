// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "learn/bit_linear/bit_linear.h"

namespace tercet {

// What a bit layer computes: norm(input) rounded, times rounded weights, plus bias.
// input: [..., in_features], weight: [out_features, in_features], bias: [out_features] or
// undefined; result [..., out_features] of the input's type. Throws kUsage when they do not fit.
at::Tensor bit_product(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                       const BitLinearOptions& options);

}  // namespace tercet
