// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/generic/bits.inl.h"
#include "kernels/generic/vector_ops.inl.h"

// The activation quantizers of BitNet. Anonymous namespace: see float_dot.inl.h.
namespace tercet {
namespace {

// Rounds half to even: 1.5 * 2^23 has no room for a fraction, so the FPU rounds while adding.
// |value| < 2^22.
inline int32_t round_half_even(float value) {
  constexpr float kShift = 0x1.8p23f;
  return static_cast<int32_t>(bits_of_float(value + kShift)) - 0x4B400000;
}

template <class Isa>
float quantize_absmax(const float* __restrict x, int64_t n, int8_t* __restrict q) {
  // Magnitudes order like their bits, and NaN above infinity above all numbers.
  int32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int32_t magnitude = static_cast<int32_t>(bits_of_float(x[i]) & 0x7FFFFFFFu);
    largest = magnitude > largest ? magnitude : largest;
  }
  if (largest >= 0x7F800000) {
    for (int64_t i = 0; i < n; ++i) q[i] = 0;
    return float_from_bits(0x7FC00000u);
  }
  const float absmax = float_from_bits(static_cast<uint32_t>(largest));
  const float scale = 127.0f / (absmax > 1e-5f ? absmax : 1e-5f);
  for (int64_t i = 0; i < n; ++i) {
    const int32_t rounded = round_half_even(x[i] * scale);
    const int32_t bounded = rounded > 127 ? 127 : rounded;
    q[i] = static_cast<int8_t>(bounded < -128 ? -128 : bounded);
  }
  return scale;
}

template <class Isa>
float quantize_absmean_i4(const float* __restrict x, int64_t n, int8_t* __restrict q) {
  constexpr float kSqrt7 = 0x1.52a7fap+1f;
  const double sum = sum_of<typename Isa::Vectors>(
      x, n, [](auto value) __attribute__((always_inline)) { return value < 0.0 ? -value : value; });
  const float mean = static_cast<float>(sum / static_cast<double>(n));
  if (!(mean <= __FLT_MAX__)) {
    for (int64_t i = 0; i < n; ++i) q[i] = 0;
    return float_from_bits(0x7FC00000u);
  }
  const float scale = kSqrt7 / (mean > 1e-5f ? mean : 1e-5f);
  for (int64_t i = 0; i < n; ++i) {
    const float scaled = x[i] * scale;
    const float not_high = scaled > 7.0f ? 7.0f : scaled;
    q[i] = static_cast<int8_t>(round_half_even(not_high < -8.0f ? -8.0f : not_high));
  }
  return scale;
}

}  // namespace
}  // namespace tercet
