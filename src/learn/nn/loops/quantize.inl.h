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
void numbers(const int8_t* codes, int64_t n, Store* y) {
  for (int64_t i = 0; i < n; ++i) store(y, i, static_cast<float>(codes[i]));
}

inline int8_t to_code(float x) { return static_cast<int8_t>(static_cast<int32_t>(x)); }

// The largest magnitude of a row, or a NaN of it: as integers the bits of floats that are not
// negative have the order of the floats, and NaNs come last.
inline float absmax_of(const float* row, int64_t n) {
  constexpr float kSmallest = 1e-5f;
  uint32_t lanes[kLanes];
  for (uint32_t& lane : lanes) lane = std::bit_cast<uint32_t>(kSmallest);
  const auto bits = [row](int64_t i) { return std::bit_cast<uint32_t>(row[i]) & 0x7FFFFFFFu; };
  const auto raise = [](uint32_t& lane, uint32_t value) { lane = value > lane ? value : lane; };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) raise(lanes[lane], bits(i + lane));
  }
  for (; i < n; ++i) raise(lanes[0], bits(i));
  for (int lane = 1; lane < kLanes; ++lane) raise(lanes[0], lanes[lane]);
  return std::bit_cast<float>(lanes[0]);
}

inline void quantize(const float* x, int64_t n, float scale, int8_t* codes) {
  for (int64_t i = 0; i < n; ++i) codes[i] = to_code(round_even(x[i] * scale));
}

inline void quantize_rows(const float* x, int64_t rows, int64_t n, int8_t* codes, float* scales) {
  for (int64_t r = 0; r < rows; ++r) {
    const float scale = 127.0f / absmax_of(x + r * n, n);
    // |x * scale| <= 127 up to rounding, so the clamp of the formula never acts.
    quantize(x + r * n, n, scale, codes + r * n);
    scales[r] = scale;
  }
}

inline void binarize(const float* w, int64_t n, float centre, int8_t* codes) {
  for (int64_t i = 0; i < n; ++i) codes[i] = w[i] > centre ? int8_t{1} : int8_t{-1};
}

inline void ternarize(const float* w, int64_t n, float inverse_gamma, int8_t* codes) {
  for (int64_t i = 0; i < n; ++i) {
    // Clamping before rounding gives the same codes and keeps the rounding trick in range.
    const float bounded = smaller(larger(w[i] * inverse_gamma, -1.0f), 1.0f);
    codes[i] = to_code(round_even(bounded));
  }
}

template <typename Store>
void scale_rows(const Store* x, const float* factor, int64_t rows, int64_t n, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < n; ++c) y[r * n + c] = load(x, r * n + c) * factor[r];
  }
}

template <typename Store>
void scale_gradient(const float* dy, const float* row_scale, const float* col_scale, int64_t rows,
                    int64_t n, Store* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const float factor = 1.0f / row_scale[r];
    for (int64_t c = 0; c < n; ++c) store(y, r * n + c, dy[r * n + c] * (col_scale[c] * factor));
  }
}

}  // namespace
}  // namespace tercet::learn
