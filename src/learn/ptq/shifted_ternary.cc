// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/shifted_ternary.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "learn/ptq/block_feedback.h"

namespace tercet::learn {
namespace {

at::Tensor nearest_codes(const at::Tensor& weight, const LowBitMatrix& matrix) {
  const at::Tensor scale = matrix.scales.clamp_min(1e-12);
  return ((weight - matrix.shifts) / scale).round().clamp(-1, 1);
}

// Solves [a b; b c] [alpha mu]' = [d e]' per row; rows whose system has no single solution (all
// codes equal) keep what they have.
void solve_rows(LowBitMatrix& matrix, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c,
                const at::Tensor& d, const at::Tensor& e) {
  const at::Tensor determinant = a * c - b * b;
  const at::Tensor solvable = determinant > 1e-7 * a * c;
  const at::Tensor safe = at::where(solvable, determinant, at::ones_like(determinant));
  matrix.scales = at::where(solvable, (c * d - b * e) / safe, matrix.scales);
  matrix.shifts = at::where(solvable, (a * e - b * d) / safe, matrix.shifts);
  // A negative scale means the codes stand for each other's weights.
  const at::Tensor sign = at::where(matrix.scales < 0, -1.0f, 1.0f).to(at::kFloat);
  matrix.scales = matrix.scales * sign;
  matrix.codes = matrix.codes * sign;
}

}  // namespace

LowBitMatrix iterative_ternary_fit(const at::Tensor& weight, int rounds) {
  LowBitMatrix out;
  out.grouping = {packing::ScaleScope::kRow, 0};
  out.column_group = at::zeros({weight.size(1)}, at::kLong);
  out.shifts = weight.mean(1, true);
  const at::Tensor centred = weight - out.shifts;
  const at::Tensor magnitude = centred.abs();
  out.codes = centred.sign() * (magnitude > 0.75 * magnitude.mean(1, true));
  out.scales = (centred * out.codes).sum(1, true) / out.codes.abs().sum(1, true).clamp_min(1);
  const double m = static_cast<double>(weight.size(1));
  const at::Tensor sum_w = weight.sum(1, true);
  for (int i = 0; i < rounds; ++i) {
    const at::Tensor& t = out.codes;
    solve_rows(out, (t * t).sum(1, true), t.sum(1, true), at::full_like(sum_w, m),
               (weight * t).sum(1, true), sum_w);
    const at::Tensor next = nearest_codes(weight, out);
    if (next.equal(out.codes)) break;
    out.codes = next;
  }
  return out;
}

void align_grid(LowBitMatrix& matrix, const at::Tensor& weight, const at::Tensor& h) {
  const at::Tensor& t = matrix.codes;
  const at::Tensor th = at::matmul(t, h);
  const at::Tensor oneh = h.sum(0, true);  // 1 h, [1, n]
  solve_rows(matrix, (th * t).sum(1, true), th.sum(1, true), h.sum().expand({weight.size(0), 1}),
             (th * weight).sum(1, true), (weight * oneh).sum(1, true));
}

LowBitMatrix pt2_llm(const LayerTarget& target, const Grouping& grouping) {
  if (grouping.scope == packing::ScaleScope::kTensor) {
    fail(ErrorCode::kUsage,
         "pt2-llm has a scale and a shift per row or group; use --group-size row "
         "or a number of columns");
  }
  return quantize_blocks(target, grouping, ColumnOrder::kSimilar,
                         [](const at::Tensor& weight, const at::Tensor& h) {
                           LowBitMatrix out = iterative_ternary_fit(weight);
                           align_grid(out, weight, h);
                           return out;
                         });
}

}  // namespace tercet::learn
