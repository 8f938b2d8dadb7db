// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "learn/nn/ops.h"

namespace tercet::learn {

// The rounded input of a low-bit map: x ~ codes / row_scale. A row that is not finite gets a scale
// that shows it in what is divided by it.
struct InputCodes {
  at::Tensor codes;      // [rows, in] int8
  at::Tensor row_scale;  // [rows] f32, all the same with kAllTokens
};

// x: [rows, in] f32, contiguous, on the CPU.
InputCodes quantize_input(const at::Tensor& x, InputRange range);

}  // namespace tercet::learn
