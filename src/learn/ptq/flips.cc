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

// A matrix with its products with h, which follow it through flips and new scales.
class FlipRun {
 public:
  FlipRun(const LowBitMatrix& matrix, const LayerTarget& target)
      : matrix_(matrix),
        target_(target),
        order_(target.h.diagonal().argsort(0, /*descending=*/true).contiguous()),
        wanted_(at::matmul(target.weight, target.h)) {
    matrix_.codes = matrix.codes.clone().contiguous();
    values_product_ = at::matmul(matrix_.values(), target.h);
  }

  const LowBitMatrix& matrix() const { return matrix_; }

  // (W - A T) h (W - A T)'
  double error() const {
    const at::Tensor difference = target_.weight - matrix_.values();
    return (difference * (wanted_ - values_product_)).sum(at::kDouble).item<double>();
  }

  void round(int number) {
    flip_all();
    // The products drift with every flip; now and then they are made anew.
    const bool exact = number % kExactEvery == kExactEvery - 1;
    if (matrix_.scales.size(1) > 1 || exact) {
      fit_scales(matrix_, target_);
      values_product_ = at::matmul(matrix_.values(), target_.h);
    } else {
      rescale();
    }
  }

 private:
  static constexpr int kExactEvery = 5;

  void flip_all() {
    const int64_t rows = matrix_.codes.size(0);
    const int64_t cols = matrix_.codes.size(1);
    const at::Tensor scales = at_columns(matrix_.scales, matrix_.column_group).contiguous();
    const at::Tensor correlation = (wanted_ - values_product_).contiguous();
    matrix_.codes = matrix_.codes.clone().contiguous();
    const Round round{target_.h.data_ptr<float>(), scales.data_ptr<float>(),
                      order_.data_ptr<int64_t>(), cols};
    at::parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        flip_row(round, round.columns_scale + row * cols,
                 matrix_.codes.data_ptr<float>() + row * cols,
                 correlation.data_ptr<float>() + row * cols);
      }
    });
    values_product_ = wanted_ - correlation;
  }

  // fit_scales() for one scale per row or tensor, from the products that are there.
  void rescale() {
    const at::Tensor values = matrix_.values();
    at::Tensor numerator = (values * wanted_).sum(1, true);
    at::Tensor denominator = (values * values_product_).sum(1, true);
    if (matrix_.grouping.scope == packing::ScaleScope::kTensor) {
      numerator = numerator.sum(0, true).expand_as(numerator);
      denominator = denominator.sum(0, true).expand_as(denominator);
    }
    const at::Tensor factor = at::where(denominator > 0, numerator / denominator.clamp_min(1e-30),
                                        at::ones_like(numerator))
                                  .clamp_min(0);
    matrix_.scales = (matrix_.scales * factor).contiguous();
    values_product_ = values_product_ * factor;
  }

  LowBitMatrix matrix_;
  const LayerTarget& target_;
  at::Tensor order_;
  at::Tensor wanted_;          // W h
  at::Tensor values_product_;  // A T h
};

}  // namespace

void flip_codes(LowBitMatrix& matrix, const LayerTarget& target, int rounds,
                const std::function<double(const LowBitMatrix&)>& held_out, Team team) {
  FlipRun run(matrix, target);
  const auto error_of_all = [&] {
    double sum = run.error();
    team.sum({&sum, 1});
    return sum;
  };
  double error = error_of_all();
  double lowest = held_out ? held_out(matrix) : error;
  int waited = 0;
  for (int i = 0; i < rounds; ++i) {
    run.round(i);
    const double reached = error_of_all();
    const bool worthwhile = reached < error * (1 - kWorthwhile);
    error = reached;
    const double now = held_out ? held_out(run.matrix()) : reached;
    waited = now < lowest ? 0 : waited + 1;
    if (waited == 0) {
      matrix = run.matrix();
      lowest = now;
    }
    if (!worthwhile || (held_out && waited == kPatience)) break;
  }
}

}  // namespace tercet::learn
