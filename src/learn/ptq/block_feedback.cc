// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/block_feedback.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace tercet::learn {
namespace {

// Positions within `rest` of the next block.
at::Tensor next_block(const at::Tensor& weight, int64_t count, ColumnOrder order) {
  if (order == ColumnOrder::kNeighbours) return at::arange(count, at::kLong);
  const at::Tensor mean = weight.mean(1);
  const at::Tensor similarity = at::mv(weight.t(), mean) / weight.norm(2, {0}).clamp_min(1e-30);
  return std::get<1>(similarity.topk(count));
}

// What is left of `from` without the positions in `taken`.
at::Tensor without(const at::Tensor& from, const at::Tensor& taken) {
  const at::Tensor keep = at::ones({from.size(0)}, at::kBool).index_fill_(0, taken, 0);
  return from.masked_select(keep);
}

// The change of the columns in `rest` that makes up for the error of those in `block`.
at::Tensor compensation(const at::Tensor& error, const LayerTarget& target, const at::Tensor& block,
                        const at::Tensor& rest) {
  const at::Tensor cross = target.h.index_select(0, block).index_select(1, rest);
  const at::Tensor factor =
      cholesky_factor(target.h.index_select(0, rest).index_select(1, rest), target.name);
  const at::Tensor right = at::matmul(error.to(at::kDouble), cross.to(at::kDouble));
  return at::cholesky_solve(right.t().contiguous(), factor).t().to(at::kFloat);
}

}  // namespace

LowBitMatrix quantize_blocks(const LayerTarget& target, const Grouping& grouping, ColumnOrder order,
                             const ColumnQuantizer& quantize) {
  const int64_t cols = target.weight.size(1);
  const int64_t step = grouping.columns(cols);
  const at::Tensor weight = target.weight.clone();
  LowBitMatrix out;
  out.grouping = grouping;
  out.codes = at::empty_like(weight);
  out.column_group = at::empty({cols}, at::kLong);
  out.reordered = order == ColumnOrder::kSimilar && step < cols;
  std::vector<at::Tensor> scales;
  std::vector<at::Tensor> shifts;
  at::Tensor rest = at::arange(cols, at::kLong);
  for (int64_t group = 0; rest.size(0) > 0; ++group) {
    const int64_t count = std::min(step, rest.size(0));
    const at::Tensor positions = next_block(weight.index_select(1, rest), count, order);
    const at::Tensor block = rest.index_select(0, positions);
    rest = without(rest, positions);
    const at::Tensor part = weight.index_select(1, block);
    const LowBitMatrix done =
        quantize(part, target.h.index_select(0, block).index_select(1, block));
    out.codes.index_copy_(1, block, done.codes);
    out.column_group.index_fill_(0, block, group);
    out.binary = done.binary;
    scales.push_back(done.scales);
    if (done.shifts.defined()) shifts.push_back(done.shifts);
    if (rest.size(0) == 0) break;
    const at::Tensor change = compensation(done.values() - part, target, block, rest);
    weight.index_add_(1, rest, change, -1);
  }
  out.scales = at::cat(scales, 1);
  if (!shifts.empty()) out.shifts = at::cat(shifts, 1);
  return out;
}

}  // namespace tercet::learn
