// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "packing/ternary.h"

namespace tercet::learn {

// How far one scale of a quantized matrix reaches.
struct Grouping {
  packing::ScaleScope scope = packing::ScaleScope::kRow;
  int64_t size = 0;  // columns per scale for kGroup; a last short group is allowed

  // Columns per scale in a matrix of that width.
  int64_t columns(int64_t cols) const;
  int64_t groups(int64_t cols) const;
  bool operator==(const Grouping&) const = default;
};
// "tensor", "row" or a number of columns. Throws kUsage naming the text.
Grouping parse_grouping(const std::string& text);
std::string to_string(const Grouping& grouping);

// A matrix W [rows, cols] as codes and what they are multiplied with, all f32 on the CPU:
// W[r][c] = codes[r][c] * scales[r][g] * column_scales[c] + shifts[r][g], g = column_group[c].
struct LowBitMatrix {
  at::Tensor codes;          // [rows, cols], each -1, 0 or 1
  at::Tensor scales;         // [rows, groups], not negative; all equal with ScaleScope::kTensor
  at::Tensor shifts;         // [rows, groups], undefined: none
  at::Tensor column_scales;  // [cols], undefined: none
  at::Tensor column_group;   // [cols] int64
  Grouping grouping;
  bool reordered = false;  // the groups are not neighbouring columns, their order is stored too
  bool binary = false;     // no code is 0

  at::Tensor values() const;  // [rows, cols]
  // Bits that a file with f16 scales needs, over rows * cols: codes at log2(3) rounded up to five
  // in a byte (1 bit if binary), every scale, shift, column scale and column order.
  double bits_per_weight() const;
};

// The group of each column, neighbours together: [cols] int64.
at::Tensor neighbour_groups(const Grouping& grouping, int64_t cols);

// Sums over the columns of each group: x [rows, cols] -> [rows, groups].
at::Tensor group_sums(const at::Tensor& x, const at::Tensor& column_group, int64_t groups);

// One value per group back at each of its columns: x [rows, groups] -> [rows, cols].
at::Tensor at_columns(const at::Tensor& x, const at::Tensor& column_group);

// Scales (and shifts) to the nearest f16, which is how they are stored, so that every error that is
// measured is that of the stored model.
void round_to_stored(LowBitMatrix& matrix);

}  // namespace tercet::learn
