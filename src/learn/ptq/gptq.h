// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/ptq/low_bit_matrix.h"
#include "learn/ptq/moments.h"

namespace tercet::learn {

// GPTQ on a ternary grid: the columns are rounded to the codes nearest under the scales of `start`,
// the strongest channel first; what rounding a column does to the outputs is made good by the
// columns that are still to come, within a block of 128 columns at once, behind it in one product.
// The codes of `start` are not used. The scales stay as they are: fit_scales() afterwards.
LowBitMatrix gptq(const LayerTarget& target, const LowBitMatrix& start);

}  // namespace tercet::learn
