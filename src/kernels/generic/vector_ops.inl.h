// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/generic/vectors.inl.h"

// What a transformer does between its matrices. Elements are independent of each other but in the
// norm, whose sum has a fixed order. Anonymous namespace: see float_dot.inl.h.
namespace tercet {
namespace {

// The sum of term(x[i]), with term(0) = 0, in double, in 16 lanes (element i in lane i % 16) that
// are added pairwise: l and l + 8, ...
template <class V, class Term>
[[gnu::always_inline]] inline double sum_of(const float* x, int64_t n, const Term& term) {
  constexpr int kLaneCount = 16;
  constexpr int kWidth = V::kFloats / 2;
  constexpr int kVectors = kLaneCount / kWidth;
  using Halves = typename VectorOf<float, kWidth>::Type;
  using Doubles = typename VectorOf<double, kWidth>::Type;
  Doubles sums[kVectors] = {};
  const auto add = [&](const float* from) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int part = 0; part < kVectors; ++part) {
      const Doubles value = __builtin_convertvector(load<Halves>(from + part * kWidth), Doubles);
      sums[part] += term(value);
    }
  };
  int64_t i = 0;
  for (; i + kLaneCount <= n; i += kLaneCount) add(x + i);
  float last[kLaneCount] = {};
  for (int lane = 0; i + lane < n; ++lane) last[lane] = x[i + lane];
  add(last);
  double lanes[kLaneCount];
  __builtin_memcpy(lanes, sums, sizeof(lanes));
  for (int width = kLaneCount / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

template <class V>
inline double sum_of_squares(const float* x, int64_t n) {
  return sum_of<V>(
      x, n, [](auto value) __attribute__((always_inline)) { return value * value; });
}

template <class V>
void rms_norm(const float* x, const float* weight, int64_t n, float eps, float* out) {
  const double mean = sum_of_squares<V>(x, n) / static_cast<double>(n);
  const float inverse = static_cast<float>(1.0 / __builtin_sqrt(mean + static_cast<double>(eps)));
  map<V>(x, weight, n, out, [=](auto value, auto gain) { return (value * inverse) * gain; });
}

template <class V>
void layer_norm(const float* x, int64_t n, float eps, float* out) {
  const double count = static_cast<double>(n);
  const double mean = sum_of<V>(
                          x, n, [](auto value) __attribute__((always_inline)) { return value; }) /
                      count;
  // The squares of f32 are exact in double, so little is lost by subtracting the mean afterwards.
  const double variance = sum_of_squares<V>(x, n) / count - mean * mean;
  const double bounded = variance < 0 ? 0 : variance;  // NaN stays
  const double inverse = 1.0 / __builtin_sqrt(bounded + static_cast<double>(eps));
  const float scale = static_cast<float>(inverse);
  const float shift = static_cast<float>(mean);
  map<V>(x, x, n, out, [=](auto value, auto) { return (value - shift) * scale; });
}

template <class V>
void add_to(const float* x, int64_t n, float* sum) {
  map<V>(sum, x, n, sum, [](auto a, auto b) { return a + b; });
}

template <class V>
void silu_gate(const float* gate, const float* up, int64_t n, float* out) {
  map<V>(gate, up, n, out, [](auto g, auto u) { return g / (1.0f + exp_of<V>(-g)) * u; });
}

template <class V>
void relu2_gate(const float* gate, const float* up, int64_t n, float* out) {
  map<V>(gate, up, n, out, [](auto g, auto u) {
    const auto positive = g < 0.0f ? decltype(g){} : g;  // NaN stays
    return positive * positive * u;
  });
}

// 0.5 (1 + tanh(y)) = 1 / (1 + e^-2y), y = sqrt(2 / pi) (g + 0.044715 g^3).
template <class V>
void gelu_gate(const float* gate, const float* up, int64_t n, float* out) {
  map<V>(gate, up, n, out, [](auto g, auto u) {
    constexpr float kTwiceSlope = 1.5957691216057308f;  // 2 sqrt(2 / pi)
    const auto twice = kTwiceSlope * (g + 0.044715f * g * g * g);
    return g / (1.0f + exp_of<V>(-twice)) * u;
  });
}

// Pairs (i, i + pairs).
template <class V>
void rotate_halves(const float* cosines, const float* sines, int64_t pairs, float* head) {
  using Floats = typename V::Floats;
  const auto rotate = [&](int64_t i, auto get, auto put) __attribute__((always_inline)) {
    const Floats a = get(head + i);
    const Floats b = get(head + pairs + i);
    const Floats cosine = get(cosines + i);
    const Floats sine = get(sines + i);
    put(a * cosine - b * sine, head + i);
    put(b * cosine + a * sine, head + pairs + i);
  };
  int64_t i = 0;
  for (; i + V::kFloats <= pairs; i += V::kFloats) {
    rotate(
        i, [](const float* from) { return load<Floats>(from); },
        [](const Floats& vector, float* to) { store(vector, to); });
  }
  const int64_t rest = pairs - i;
  if (rest == 0) return;
  rotate(
      i, [=](const float* from) { return load_first<Floats>(from, rest); },
      [=](const Floats& vector, float* to) { store_first(vector, to, rest); });
}

// Pairs (2i, 2i + 1). Left to the compiler's vectorizer, which knows how to shuffle them.
template <class V>
void rotate_neighbours(const float* __restrict cosines, const float* __restrict sines,
                       int64_t pairs, float* __restrict head) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float a = head[2 * i];
    const float b = head[2 * i + 1];
    head[2 * i] = a * cosines[i] - b * sines[i];
    head[2 * i + 1] = b * cosines[i] + a * sines[i];
  }
}

// Numbers too large for f16 become its largest; infinities and NaN stay, so that a fault shows.
template <class V>
void narrow_to_f16(const float* x, int64_t n, uint16_t* out) {
  using Floats = typename V::Floats;
  const auto saturate = [](Floats value) __attribute__((always_inline)) {
    const Floats most = fill<Floats>(65504.0f);
    const Floats infinity = fill<Floats>(__builtin_inff());
    const Floats high = ((value > most) & (value < infinity)) ? most : value;
    return ((high < -most) & (high > -infinity)) ? -most : high;
  };
  int64_t i = 0;
  for (; i + V::kFloats <= n; i += V::kFloats) {
    V::narrow_f16(saturate(load<Floats>(x + i)), out + i);
  }
  if (i == n) return;
  uint16_t last[V::kFloats];
  V::narrow_f16(saturate(load_first<Floats>(x + i, n - i)), last);
  __builtin_memcpy(out + i, last, static_cast<size_t>(n - i) * sizeof(uint16_t));
}

// core/half.h's conversion, written so that the compiler vectorizes it.
template <class V>
void narrow_to_bf16(const float* __restrict x, int64_t n, uint16_t* __restrict out) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = bits_of_float(x[i]);
    const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    out[i] = static_cast<uint16_t>(is_nan ? (bits >> 16) | 0x40u : rounded);
  }
}

}  // namespace
}  // namespace tercet
