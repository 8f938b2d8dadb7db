// SPDX-License-Identifier: Apache-2.0
#include "model/ternary_rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/half.h"
#include "packing/row_codes.h"

namespace tercet {
namespace {

ScaleReach stored_reach(const LinearWeights& weights, packing::Layout layout) {
  if (has_inner_scales(weights.type)) {
    return {packing::ScaleScope::kGroup, packing::block_codes(layout)};
  }
  const bool grouped = weights.scope == packing::ScaleScope::kGroup;
  return {weights.scope, grouped ? weights.group_size : weights.cols};
}

}  // namespace

TernaryRows::TernaryRows(const LinearWeights& weights)
    : weights_(weights), layout_(layout_of(weights.type)), reach_(stored_reach(weights, layout_)) {}

void TernaryRows::codes(int64_t row, std::span<int8_t> out) const {
  const uint8_t* bytes = weights_.data.data() + row * weights_.row_stride;
  if (packing::unpack_row(layout_, bytes, group(), out)) return;
  const bool has_two = weights_.type == StoredType::kQ2_0 || weights_.type == StoredType::kQ2_0G128;
  fail(ErrorCode::kBadInput, "tensor '{}': row {} holds {}", weights_.name, row,
       has_two ? "the code 3, which stands for 2 x scale and is not ternary; use a dense type such "
                 "as f16"
               : "a byte that stands for no ternary codes, the file is damaged");
}

void TernaryRows::scales(int64_t row, std::span<float> out) const {
  if (has_inner_scales(weights_.type)) {
    const uint8_t* bytes = weights_.data.data() + row * weights_.row_stride;
    for (size_t i = 0; i < out.size(); ++i) {
      const int64_t at = static_cast<int64_t>(i) * packing::block_bytes(layout_);
      out[i] = f16_to_f32(packing::block_scale(layout_, bytes + at));
    }
  } else {
    const size_t first = reach_.scope == packing::ScaleScope::kTensor
                             ? 0
                             : static_cast<size_t>(row * scales_per_row());
    const auto begin = weights_.scales.begin() + static_cast<std::ptrdiff_t>(first);
    std::copy_n(begin, out.size(), out.begin());
  }
  if (std::all_of(out.begin(), out.end(), [](float scale) { return std::isfinite(scale); })) return;
  fail(ErrorCode::kBadInput, "tensor '{}': a scale of row {} is not a finite number", weights_.name,
       row);
}

ScaleReach effective_reach(const TernaryRows& rows) {
  if (rows.reach().scope == packing::ScaleScope::kTensor) return rows.reach();
  std::vector<float> scales(static_cast<size_t>(rows.scales_per_row()));
  rows.scales(0, scales);
  const float first = scales.front();
  for (int64_t row = 0; row < rows.rows(); ++row) {
    rows.scales(row, scales);
    const auto same = [first](float scale) { return scale == first; };
    if (!std::all_of(scales.begin(), scales.end(), same)) return rows.reach();
  }
  return {packing::ScaleScope::kTensor, rows.cols()};
}

}  // namespace tercet
