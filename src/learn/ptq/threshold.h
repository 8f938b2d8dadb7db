// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/ptq/low_bit_matrix.h"
#include "learn/ptq/moments.h"

namespace tercet::learn {

// Quantizers that set a threshold in each group: t = sign(w) where |w| > threshold, else 0.
// weight: [rows, cols] f32.

// BitNet b1.58 (methods.md 2.1): scale mean |w|, codes clamp(round_half_even(w / scale), -1, 1).
LowBitMatrix absmean(const at::Tensor& weight, const Grouping& grouping);

// TWN (methods.md 8.2): threshold 0.75 mean |w|, the least-squares scale.
LowBitMatrix twn(const at::Tensor& weight, const Grouping& grouping);

// Stage 1 of PT-BitNet (methods.md 8.2): of `points` thresholds, 0.3 to 1.7 times that of TWN in
// equal steps, each with its best scale, the best in each group. Without a Hessian by the distance
// of the weights, with one by the group's own block of h.
LowBitMatrix threshold_grid(const at::Tensor& weight, const Grouping& grouping, int points);
LowBitMatrix threshold_grid(const LayerTarget& target, const Grouping& grouping, int points);

}  // namespace tercet::learn
