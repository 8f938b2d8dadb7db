// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/binary.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "learn/ptq/block_feedback.h"

namespace tercet::learn {
namespace {

constexpr int kRefinements = 15;
constexpr int kPowerIterations = 50;

// 0 counts as -1, as in the runtime's one bit codes.
at::Tensor signs(const at::Tensor& x) { return at::where(x > 0, 1.0f, -1.0f).to(at::kFloat); }

}  // namespace

LowBitMatrix alternating_binary(const at::Tensor& weight, const at::Tensor& h) {
  LowBitMatrix out;
  out.binary = true;
  out.grouping = {packing::ScaleScope::kRow, 0};
  out.column_group = at::zeros({weight.size(1)}, at::kLong);
  const at::Tensor metric = h.defined() ? h : at::eye(weight.size(1), at::kFloat);
  const at::Tensor ones = metric.sum(0, true);  // 1 h
  out.shifts = weight.mean(1, true);
  out.codes = signs(weight - out.shifts);
  out.scales = (weight - out.shifts).abs().mean(1, true);
  for (int i = 0; i < kRefinements; ++i) {
    out.shifts = ((weight - out.scales * out.codes) * ones).sum(1, true) / ones.sum();
    const at::Tensor product = at::matmul(out.codes, metric);
    out.scales = (product * (weight - out.shifts)).sum(1, true) /
                 (product * out.codes).sum(1, true).clamp_min(1e-30);
    out.scales = out.scales.clamp_min(0);
    out.codes = signs(weight - out.shifts);
  }
  return out;
}

LowBitMatrix arb(const LayerTarget& target, const Grouping& grouping) {
  if (grouping.scope == packing::ScaleScope::kTensor) {
    fail(ErrorCode::kUsage,
         "arb has a scale and a shift per row or group; use --group-size row or "
         "a number of columns");
  }
  return quantize_blocks(target, grouping, ColumnOrder::kNeighbours, alternating_binary);
}

LowBitMatrix svid(const at::Tensor& weight) {
  const at::Tensor magnitude = weight.abs().to(at::kDouble);
  at::Tensor column = magnitude.mean(0);
  at::Tensor row;
  for (int i = 0; i < kPowerIterations; ++i) {
    row = at::mv(magnitude, column / column.norm().clamp_min(1e-30));
    column = at::mv(magnitude.t(), row / row.norm().clamp_min(1e-30));
  }
  // |W| ~ row column' / (|row| |column|) |column|; half of the size to each.
  const at::Tensor size = column.norm();
  const at::Tensor half = size.sqrt();
  LowBitMatrix out;
  out.binary = true;
  out.grouping = {packing::ScaleScope::kRow, 0};
  out.column_group = at::zeros({weight.size(1)}, at::kLong);
  out.codes = signs(weight);
  out.scales = (row / row.norm().clamp_min(1e-30) * half).to(at::kFloat).unsqueeze(1).contiguous();
  out.column_scales = (column / size.clamp_min(1e-30) * half).to(at::kFloat).contiguous();
  return out;
}

}  // namespace tercet::learn
