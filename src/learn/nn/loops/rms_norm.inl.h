// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "learn/nn/loops/vector_math.inl.h"

namespace tercet::learn {
namespace {

void rms_norm(const float* x, const float* w, float eps, int64_t rows, int64_t n, float* y,
              float* inverse) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * n;
    float* out = y + r * n;
    const float squares = sum_over(n, [row](int64_t i) { return row[i] * row[i]; });
    const float scale = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
    for (int64_t i = 0; i < n; ++i) out[i] = row[i] * scale * w[i];
    inverse[r] = scale;
  }
}

void rms_norm_backward(const float* x, const float* w, const float* inverse, const float* dy,
                       int64_t rows, int64_t n, float* dx, float* dw) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * n;
    const float* grad = dy + r * n;
    float* out = dx + r * n;
    const float scale = inverse[r];
    const float dot = sum_over(n, [=](int64_t i) { return row[i] * w[i] * grad[i]; });
    const float along = dot * scale * scale * scale / static_cast<float>(n);
    for (int64_t i = 0; i < n; ++i) {
      out[i] = grad[i] * w[i] * scale - row[i] * along;
      dw[i] += grad[i] * row[i] * scale;
    }
  }
}

}  // namespace
}  // namespace tercet::learn
