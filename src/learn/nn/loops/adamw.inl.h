// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "learn/nn/loops/loop_table.h"

namespace tercet::learn {
namespace {

void adamw(const AdamwFactors& f, const float* gradient, int64_t n, float* weight, float* exp_avg,
           float* exp_avg_sq) {
  const AdamwFactors k = f;
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * k.gradient_scale;
    const float mean = exp_avg[i] * k.beta1 + g * (1.0f - k.beta1);
    const float square = exp_avg_sq[i] * k.beta2 + g * g * (1.0f - k.beta2);
    exp_avg[i] = mean;
    exp_avg_sq[i] = square;
    const float root = std::sqrt(square) * k.root_scale + k.eps;
    weight[i] = weight[i] * k.keep - k.step_size * (mean / root);
  }
}

}  // namespace
}  // namespace tercet::learn
