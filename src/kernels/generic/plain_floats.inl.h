// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/generic/bits.inl.h"
#include "kernels/generic/float_dot.inl.h"

// The vocabulary of vectors.inl.h and attention.inl.h in plain C++. Anonymous namespace: see
// float_dot.inl.h.
namespace tercet {
namespace {

// core/half.h's conversion.
inline uint16_t narrow_half(float value) {
  const uint32_t bits = bits_of_float(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);
  if (magnitude < 0x38800000u) {
    const float shifted = float_from_bits(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (bits_of_float(shifted) - 0x3F000000u));
  }
  const uint32_t rounded = magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

struct PlainFloats {
  static constexpr int kFloats = 4;  // what every CPU of the architecture has
  static constexpr int kQueries = 1;
  typedef float Floats __attribute__((vector_size(sizeof(float) * kFloats)));

  static Floats widen_f16(const uint16_t* from) {
    Floats values;
    for (int i = 0; i < kFloats; ++i) values[i] = tercet::widen_f16(from[i]);
    return values;
  }
  static Floats widen_bf16(const uint16_t* from) {
    Floats values;
    for (int i = 0; i < kFloats; ++i) {
      values[i] = float_from_bits(static_cast<uint32_t>(from[i]) << 16);
    }
    return values;
  }
  static Floats widen_i8(const int8_t* from) {
    Floats values;
    for (int i = 0; i < kFloats; ++i) values[i] = static_cast<float>(from[i]);
    return values;
  }
  static void narrow_f16(Floats values, uint16_t* to) {
    for (int i = 0; i < kFloats; ++i) to[i] = narrow_half(values[i]);
  }
};

}  // namespace
}  // namespace tercet
