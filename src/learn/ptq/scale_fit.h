// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/ptq/low_bit_matrix.h"
#include "learn/ptq/moments.h"

namespace tercet::learn {

// The scales that minimise (W - A T) h (W - A T)' for the codes as they are, all groups of a row
// together. Scales that come out negative turn their codes round; groups without codes get 0.
void fit_scales(LowBitMatrix& matrix, const LayerTarget& target);

// The same without a Hessian: <t, w> / <t, t> in each group.
void fit_scales(LowBitMatrix& matrix, const at::Tensor& weight);

}  // namespace tercet::learn
