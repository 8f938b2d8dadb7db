// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "learn/nn/loops/loop_table.h"

namespace tercet::learn {

// One step of AdamW on the CPU for `value` with its gradient; the moments have its shape. All f32
// and contiguous.
void adamw_update(const at::Tensor& value, const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq,
                  const AdamwFactors& factors);

}  // namespace tercet::learn
