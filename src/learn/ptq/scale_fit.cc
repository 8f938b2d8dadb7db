// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/scale_fit.h"

#include <ATen/ATen.h>

namespace tercet::learn {
namespace {

using packing::ScaleScope;

// numerator / denominator, 0 where there is nothing to divide by.
at::Tensor ratio(const at::Tensor& numerator, const at::Tensor& denominator) {
  return at::where(denominator > 0, numerator / denominator.clamp_min(1e-30),
                   at::zeros_like(numerator));
}

// [rows, 1] each; with one scale for the tensor all rows are taken together.
at::Tensor single_scales(const at::Tensor& numerator, const at::Tensor& denominator,
                         ScaleScope scope) {
  if (scope != ScaleScope::kTensor) return ratio(numerator, denominator);
  return ratio(numerator.sum(0, true), denominator.sum(0, true)).expand_as(numerator).contiguous();
}

// The normal equations of every row: m [rows, groups, groups], b [rows, groups].
at::Tensor joint_scales(const LowBitMatrix& matrix, const LayerTarget& target) {
  const at::Tensor& codes = matrix.codes;
  const int64_t groups = matrix.scales.size(1);
  const at::Tensor b =
      group_sums(at::matmul(target.weight, target.h) * codes, matrix.column_group, groups);
  std::vector<at::Tensor> rows_of_m;
  for (int64_t g = 0; g < groups; ++g) {
    const at::Tensor columns = matrix.column_group.eq(g).nonzero().squeeze(1);
    const at::Tensor product =
        at::matmul(codes.index_select(1, columns), target.h.index_select(0, columns));
    rows_of_m.push_back(group_sums(product * codes, matrix.column_group, groups));
  }
  at::Tensor m = at::stack(rows_of_m, 1).to(at::kDouble);
  // Groups without codes would make m singular; a one there leaves their scale at 0.
  const at::Tensor diagonal = m.diagonal(0, 1, 2);
  m = m + at::diag_embed(at::where(diagonal > 0, diagonal * 1e-9, at::ones_like(diagonal)));
  return at::linalg_solve(m, b.to(at::kDouble).unsqueeze(2)).squeeze(2).to(at::kFloat);
}

void make_positive(LowBitMatrix& matrix) {
  const at::Tensor sign = at::where(matrix.scales < 0, -1.0f, 1.0f).to(at::kFloat);
  matrix.scales = matrix.scales * sign;
  matrix.codes = (matrix.codes * at_columns(sign, matrix.column_group)).contiguous();
}

}  // namespace

void fit_scales(LowBitMatrix& matrix, const LayerTarget& target) {
  if (matrix.scales.size(1) > 1) {
    matrix.scales = joint_scales(matrix, target);
  } else {
    const at::Tensor product = at::matmul(matrix.codes, target.h);
    matrix.scales = single_scales((product * target.weight).sum(1, true),
                                  (product * matrix.codes).sum(1, true), matrix.grouping.scope);
  }
  make_positive(matrix);
}

void fit_scales(LowBitMatrix& matrix, const at::Tensor& weight) {
  const int64_t groups = matrix.scales.size(1);
  const auto sums = [&](const at::Tensor& x) { return group_sums(x, matrix.column_group, groups); };
  matrix.scales = single_scales(sums(matrix.codes * weight), sums(matrix.codes * matrix.codes),
                                matrix.grouping.scope);
  make_positive(matrix);
}

}  // namespace tercet::learn
