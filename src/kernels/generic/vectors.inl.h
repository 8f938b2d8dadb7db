// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// Arithmetic on the compiler's vector types. The vocabulary of an instruction set, V, gives
//
//   kFloats               floats in a register; divides 32
//   Floats                such a register
//   widen_f16(from)       kFloats halves as floats
//   narrow_f16(x, to)     and back, to nearest even
//   widen_bf16(from)      the same of bf16
//   widen_i8(from)        and of int8
//
// Anonymous namespace: see float_dot.inl.h.
namespace tercet {
namespace {

template <class Element, int kCount>
struct VectorOf {
  typedef Element Type __attribute__((vector_size(sizeof(Element) * kCount)));
};

// As many elements as floats in a register.
template <class V, class Element>
using Beside = typename VectorOf<Element, V::kFloats>::Type;

template <class To, class From>
[[gnu::always_inline]] inline To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof(to));
  return to;
}

template <class Vector>
[[gnu::always_inline]] inline Vector load(const void* from) {
  Vector vector;
  __builtin_memcpy(&vector, from, sizeof(vector));
  return vector;
}

template <class Vector>
[[gnu::always_inline]] inline void store(const Vector& vector, void* to) {
  __builtin_memcpy(to, &vector, sizeof(vector));
}

// The first `count` elements, then zeros.
template <class Vector>
inline Vector load_first(const float* from, int64_t count) {
  Vector vector = {};
  __builtin_memcpy(&vector, from, static_cast<size_t>(count) * sizeof(float));
  return vector;
}

template <class Vector>
inline void store_first(const Vector& vector, float* to, int64_t count) {
  __builtin_memcpy(to, &vector, static_cast<size_t>(count) * sizeof(float));
}

template <class Vector>
[[gnu::always_inline]] inline Vector fill(float value) {
  return value - Vector{};  // folds to a broadcast, which value + 0 would not for the sake of -0
}

// e^x with a relative error below 2^-23, 0 below about -104, infinity above about 89, NaN for NaN.
// x = n ln 2 + r, |r| <= ln 2 / 2, and e^r = 1 + r + r^2 P(r), P being the polynomial of degree 4
// whose largest relative error in e^r is least (3e-9).
template <class V>
[[gnu::always_inline]] inline typename V::Floats exp_of(typename V::Floats x) {
  using Floats = typename V::Floats;
  using Signed = Beside<V, int32_t>;
  using Unsigned = Beside<V, uint32_t>;
  constexpr float kShift = 0x1.8p23f;       // adding it rounds to a whole number
  constexpr float kLn2High = 0x1.62e4p-1f;  // so few bits that n * kLn2High is exact
  constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  const Floats lowest = fill<Floats>(-104.0f);
  const Floats highest = fill<Floats>(89.0f);
  const Floats not_low = x < lowest ? lowest : x;
  const Floats bounded = not_low > highest ? highest : not_low;
  const Floats shifted = bounded * 0x1.715476p+0f + kShift;
  const Floats n = shifted - kShift;
  const Floats r = (bounded - n * kLn2High) - n * kLn2Low;
  const Floats p =
      0x1.fffffcp-2f +
      r * (0x1.555492p-3f + r * (0x1.5558f2p-5f + r * (0x1.123a20p-7f + r * 0x1.6a23d0p-10f)));
  const Floats power = 1.0f + (r + r * r * p);
  // 2^n in two factors, since n reaches beyond the exponents of f32.
  const Signed whole = same_bits<Signed>(shifted) - 0x4B400000;
  const Signed half = whole >> 1;
  const Unsigned first = (same_bits<Unsigned>(half) + 127u) << 23;
  const Unsigned second = (same_bits<Unsigned>(whole - half) + 127u) << 23;
  return power * same_bits<Floats>(first) * same_bits<Floats>(second);
}

// out[i] = op(a[i], b[i]); out may be a or b. op takes and returns V::Floats.
template <class V, class Op>
[[gnu::always_inline]] inline void map(const float* a, const float* b, int64_t n, float* out,
                                       Op op) {
  using Floats = typename V::Floats;
  int64_t i = 0;
  for (; i + V::kFloats <= n; i += V::kFloats) {
    store(op(load<Floats>(a + i), load<Floats>(b + i)), out + i);
  }
  if (i < n) {
    store_first(op(load_first<Floats>(a + i, n - i), load_first<Floats>(b + i, n - i)), out + i,
                n - i);
  }
}

}  // namespace
}  // namespace tercet
