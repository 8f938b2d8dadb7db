// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "learn/nn/loops/vector_math.inl.h"

namespace tercet::learn {
namespace {

// sum of term(x[i]) in double: the order of the sum then does not show in the f32 result.
template <typename Term>
inline double wide_sum(const float* x, int64_t n, Term term) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += term(static_cast<double>(x[i + lane]));
  }
  double total = 0.0;
  for (; i < n; ++i) total += term(static_cast<double>(x[i]));
  for (const double lane : lanes) total += lane;
  return total;
}

inline double sum_of_squares(const float* x, int64_t n) {
  return wide_sum(x, n, [](double value) { return value * value; });
}

// The same operations in the same order as the runtime's norm: its input decides int8 roundings
// behind it, so the two halves must agree to the bit.
void rms_norm(const float* x, const float* w, float eps, int64_t rows, int64_t n, float* y,
              float* inverse) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * n;
    float* out = y + r * n;
    const double mean = sum_of_squares(row, n) / static_cast<double>(n);
    const float scale = static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(eps)));
    for (int64_t i = 0; i < n; ++i) out[i] = (row[i] * scale) * w[i];
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

// As the runtime's, too.
void plain_norm(const float* x, float eps, int64_t rows, int64_t n, float* y, float* mean,
                float* inverse) {
  const double count = static_cast<double>(n);
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * n;
    const double centre = wide_sum(row, n, [](double value) { return value; }) / count;
    const double variance = sum_of_squares(row, n) / count - centre * centre;
    const double bounded = variance < 0 ? 0 : variance;  // a NaN stays
    mean[r] = static_cast<float>(centre);
    inverse[r] = static_cast<float>(1.0 / std::sqrt(bounded + static_cast<double>(eps)));
    for (int64_t i = 0; i < n; ++i) y[r * n + i] = (row[i] - mean[r]) * inverse[r];
  }
}

void plain_norm_backward(const float* x, const float* mean, const float* inverse, const float* dy,
                         int64_t rows, int64_t n, float* dx) {
  const float share = 1.0f / static_cast<float>(n);
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * n;
    const float* grad = dy + r * n;
    const float centre = mean[r];
    const float scale = inverse[r];
    const float level = sum_over(n, [=](int64_t i) { return grad[i]; }) * share;
    const float dot = sum_over(n, [=](int64_t i) { return grad[i] * (row[i] - centre); });
    const float along = dot * scale * scale * share;
    for (int64_t i = 0; i < n; ++i) {
      dx[r * n + i] = (grad[i] - level - (row[i] - centre) * along) * scale;
    }
  }
}

}  // namespace
}  // namespace tercet::learn
