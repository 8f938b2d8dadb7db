// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstdint>

// The vocabulary of vectors.inl.h and attention.inl.h in AVX2. Anonymous namespace: see
// float_dot.inl.h.
namespace tercet {
namespace {

struct Avx2Floats {
  static constexpr int kFloats = 8;
  static constexpr int kQueries = 2;  // 4 sums each
  typedef float Floats __attribute__((vector_size(sizeof(float) * kFloats)));

  static Floats widen_f16(const uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Floats widen_bf16(const uint16_t* from) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  static Floats widen_i8(const int8_t* from) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
  static void narrow_f16(Floats values, uint16_t* to) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
  }
};

}  // namespace
}  // namespace tercet
