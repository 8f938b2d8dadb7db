// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/nn/loops/vector_math.inl.h"

namespace tercet::learn {
namespace {

template <typename Store>
void convert(const float* x, int64_t n, Store* y) {
  for (int64_t i = 0; i < n; ++i) store(y, i, x[i]);
}

template <typename Store>
void widen(const Store* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = load(x, i);
}

template <typename Store>
void quantize_rows(const float* x, int64_t rows, int64_t n, Store* codes, float* scales) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * n;
    Store* out = codes + r * n;
    const float absmax = max_over(n, 1e-5f, [row](int64_t i) { return magnitude(row[i]); });
    const float scale = 127.0f / absmax;
    // |row * scale| <= 127 up to rounding, so the clamp of the formula never acts.
    for (int64_t i = 0; i < n; ++i) store(out, i, round_even(row[i] * scale));
    scales[r] = scale;
  }
}

template <typename Store>
void quantize(const float* x, int64_t n, float scale, Store* codes) {
  for (int64_t i = 0; i < n; ++i) store(codes, i, round_even(x[i] * scale));
}

template <typename Store>
void binarize(const float* w, int64_t n, float centre, Store* codes) {
  for (int64_t i = 0; i < n; ++i) store(codes, i, w[i] > centre ? 1.0f : -1.0f);
}

template <typename Store>
void ternarize(const float* w, int64_t n, float inverse_gamma, Store* codes) {
  for (int64_t i = 0; i < n; ++i) {
    // Clamping before rounding gives the same codes and keeps the rounding trick in range.
    const float bounded = smaller(larger(w[i] * inverse_gamma, -1.0f), 1.0f);
    store(codes, i, round_even(bounded));
  }
}

template <typename Store>
void scale_output(const Store* acc, const float* row_scale, const float* col_scale, int64_t rows,
                  int64_t n, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const float divisor = row_scale[r];
    for (int64_t c = 0; c < n; ++c) y[r * n + c] = load(acc, r * n + c) * (col_scale[c] / divisor);
  }
}

template <typename Store>
void scale_gradient(const float* dy, const float* row_scale, const float* col_scale, int64_t rows,
                    int64_t n, Store* by_col, Store* by_row) {
  for (int64_t r = 0; r < rows; ++r) {
    const float factor = 1.0f / row_scale[r];
    for (int64_t c = 0; c < n; ++c) {
      store(by_col, r * n + c, dy[r * n + c] * col_scale[c]);
      store(by_row, r * n + c, dy[r * n + c] * factor);
    }
  }
}

}  // namespace
}  // namespace tercet::learn
