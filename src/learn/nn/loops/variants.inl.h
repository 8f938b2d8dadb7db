// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/nn/loops/quantize.inl.h"
#include "learn/nn/loops/vector_math.inl.h"

namespace tercet::learn {
namespace {

// In double: the order of the sum then does not show in the f32 result, which decides roundings.
inline double sum_of_magnitudes(const float* x, int64_t n) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += static_cast<double>(magnitude(x[i + lane]));
    }
  }
  double total = 0.0;
  for (; i < n; ++i) total += static_cast<double>(magnitude(x[i]));
  for (const double lane : lanes) total += lane;
  return total;
}

inline void quantize_rows_i4(const float* x, int64_t rows, int64_t n, int8_t* codes,
                             float* scales) {
  constexpr float kSqrt7 = 2.6457513f;
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * n;
    const float mean = static_cast<float>(sum_of_magnitudes(row, n) / static_cast<double>(n));
    const float scale = kSqrt7 / larger(1e-5f, mean);  // in this order a NaN stays one
    for (int64_t i = 0; i < n; ++i) {
      // Clamping before rounding gives the same codes and keeps the rounding trick in range.
      const float bounded = smaller(larger(row[i] * scale, -8.0f), 7.0f);
      codes[r * n + i] = to_code(round_even(bounded));
    }
    scales[r] = scale;
  }
}

inline void fade(const float* x, const int8_t* codes, int64_t n, float unit, float share,
                 float* y) {
  for (int64_t i = 0; i < n; ++i) {
    y[i] = x[i] + share * (static_cast<float>(codes[i]) * unit - x[i]);
  }
}

}  // namespace
}  // namespace tercet::learn
