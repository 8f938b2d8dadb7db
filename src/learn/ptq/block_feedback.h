// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "learn/ptq/low_bit_matrix.h"
#include "learn/ptq/moments.h"

namespace tercet::learn {

// The order in which blocks of columns are quantized.
enum class ColumnOrder {
  kNeighbours,  // as they stand
  kSimilar,     // SSR of PT2-LLM: next come those most like the mean of what is left (cosine)
};

// One block: weight [rows, n] and h [n, n] of its columns -> codes, scales [rows, 1], shifts.
using ColumnQuantizer = std::function<LowBitMatrix(const at::Tensor& weight, const at::Tensor& h)>;

// Quantizes blocks of grouping.columns() columns one after the other; what a block does to the
// outputs is made good by the columns that are still to come: with D its error, these change by
// -D h_block,rest h_rest,rest^-1, the best there is. The grouping is per row or per group.
LowBitMatrix quantize_blocks(const LayerTarget& target, const Grouping& grouping, ColumnOrder order,
                             const ColumnQuantizer& quantize);

}  // namespace tercet::learn
