// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/low_bit_matrix.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.h"

namespace tercet::learn {
namespace {

// Five codes to a byte; every group of a row begins one.
double trit_bits(int64_t group, int64_t cols) {
  double bytes = 0;
  for (int64_t first = 0; first < cols; first += group) {
    bytes += std::ceil(static_cast<double>(std::min(group, cols - first)) / 5);
  }
  return 8 * bytes;
}

}  // namespace

using packing::ScaleScope;

int64_t Grouping::columns(int64_t cols) const {
  return scope == ScaleScope::kGroup ? std::min(size, cols) : cols;
}

int64_t Grouping::groups(int64_t cols) const {
  const int64_t step = columns(cols);
  return (cols + step - 1) / step;
}

Grouping parse_grouping(const std::string& text) {
  if (text == "tensor") return {ScaleScope::kTensor, 0};
  if (text == "row") return {ScaleScope::kRow, 0};
  int64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size() || size < 8) {
    fail(ErrorCode::kUsage,
         "group size is '{}'; tensor, row and numbers of columns from 8 on are possible", text);
  }
  return {ScaleScope::kGroup, size};
}

std::string to_string(const Grouping& grouping) {
  if (grouping.scope == ScaleScope::kTensor) return "tensor";
  if (grouping.scope == ScaleScope::kRow) return "row";
  return std::to_string(grouping.size);
}

at::Tensor LowBitMatrix::values() const {
  at::Tensor out = codes * at_columns(scales, column_group);
  if (column_scales.defined()) out = out * column_scales;
  if (shifts.defined()) out = out + at_columns(shifts, column_group);
  return out;
}

double LowBitMatrix::bits_per_weight() const {
  constexpr double kHalf = 16;  // bits of a stored scale
  const double rows = static_cast<double>(codes.size(0));
  const double cols = static_cast<double>(codes.size(1));
  const double row_bits = binary ? cols : trit_bits(grouping.columns(codes.size(1)), codes.size(1));
  const bool one_scale = grouping.scope == ScaleScope::kTensor;
  double bits = rows * row_bits + kHalf * (one_scale ? 1 : static_cast<double>(scales.numel()));
  if (shifts.defined()) bits += kHalf * static_cast<double>(shifts.numel());
  if (column_scales.defined()) bits += kHalf * cols;
  if (reordered) bits += cols * std::ceil(std::log2(std::max(cols, 2.0)));
  return bits / (rows * cols);
}

at::Tensor neighbour_groups(const Grouping& grouping, int64_t cols) {
  return at::arange(cols, at::kLong).div(grouping.columns(cols), "floor");
}

at::Tensor group_sums(const at::Tensor& x, const at::Tensor& column_group, int64_t groups) {
  if (groups == 1) return x.sum(1, /*keepdim=*/true);
  return at::zeros({x.size(0), groups}, x.options()).index_add_(1, column_group, x);
}

at::Tensor at_columns(const at::Tensor& x, const at::Tensor& column_group) {
  if (x.size(1) == 1) return x.expand({x.size(0), column_group.size(0)});
  return x.index_select(1, column_group);
}

void round_to_stored(LowBitMatrix& matrix) {
  static constexpr double kLargest = 65504;
  const auto rounded = [](const at::Tensor& x) {
    return x.clamp(-kLargest, kLargest).to(at::kHalf).to(at::kFloat);
  };
  matrix.scales = rounded(matrix.scales);
  if (matrix.shifts.defined()) matrix.shifts = rounded(matrix.shifts);
  if (matrix.column_scales.defined()) matrix.column_scales = rounded(matrix.column_scales);
}

}  // namespace tercet::learn
