// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/flips.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "learn/ptq/scale_fit.h"

namespace tercet::learn {
namespace {

constexpr double kWorthwhile = 1e-3;  // of the error, for another round
constexpr int kPatience = 2;          // rounds without a better held-out error

// What all rows share in a round.
struct Round {
  const float* h;
  const float* columns_scale;  // [rows, cols]
  const int64_t* order;
  int64_t cols;
};

// One pass over a row. correlation: (w - w^) h, kept up to date.
void flip_row(const Round& round, const float* scale, float* codes, float* correlation) {
  for (int64_t k = 0; k < round.cols; ++k) {
    const int64_t j = round.order[k];
    const float* row_of_h = round.h + j * round.cols;
    const float step = scale[j] * row_of_h[j];
    if (!(step > 0)) continue;
    const float wanted = codes[j] + correlation[j] / step;
    const float code = wanted > 0.5f ? 1.0f : (wanted < -0.5f ? -1.0f : 0.0f);
    if (code == codes[j]) continue;
    const float delta = scale[j] * (code - codes[j]);
    for (int64_t i = 0; i < round.cols; ++i) correlation[i] -= delta * row_of_h[i];
    codes[j] = code;
  }
}

void flip_once(LowBitMatrix& matrix, const LayerTarget& target, const at::Tensor& order) {
  const int64_t rows = matrix.codes.size(0);
  const int64_t cols = matrix.codes.size(1);
  const at::Tensor scales = at_columns(matrix.scales, matrix.column_group).contiguous();
  const at::Tensor correlation =
      at::matmul(target.weight - matrix.values(), target.h).contiguous();
  matrix.codes = matrix.codes.contiguous();
  const Round round{target.h.data_ptr<float>(), scales.data_ptr<float>(),
                    order.data_ptr<int64_t>(), cols};
  at::parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      flip_row(round, round.columns_scale + row * cols,
               matrix.codes.data_ptr<float>() + row * cols,
               correlation.data_ptr<float>() + row * cols);
    }
  });
}

}  // namespace

void flip_codes(LowBitMatrix& matrix, const LayerTarget& target, int rounds,
                const std::function<double(const LowBitMatrix&)>& held_out) {
  const at::Tensor order = target.h.diagonal().argsort(0, /*descending=*/true).contiguous();
  double error = relative_error(matrix.values(), target);
  LowBitMatrix best = matrix;
  double best_held_out = held_out ? held_out(matrix) : 0;
  int waited = 0;
  for (int i = 0; i < rounds; ++i) {
    LowBitMatrix next = matrix;
    next.codes = matrix.codes.clone();
    flip_once(next, target, order);
    fit_scales(next, target);
    const double reached = relative_error(next.values(), target);
    if (!(reached < error)) break;  // rounding is all that is left
    const bool worthwhile = reached < error * (1 - kWorthwhile);
    matrix = next;
    error = reached;
    if (held_out) {
      const double now = held_out(matrix);
      waited = now < best_held_out ? 0 : waited + 1;
      if (waited == 0) {
        best = matrix;
        best_held_out = now;
      }
      if (waited == kPatience) break;
    }
    if (!worthwhile) break;
  }
  if (held_out) matrix = best;
}

}  // namespace tercet::learn
