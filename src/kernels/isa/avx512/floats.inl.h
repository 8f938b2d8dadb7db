// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstdint>

// The vocabulary of vectors.inl.h and attention.inl.h in AVX-512. Anonymous namespace: see
// float_dot.inl.h.
namespace tercet {
namespace {

struct Avx512Floats {
  static constexpr int kFloats = 16;
  static constexpr int kQueries = 8;  // 2 sums each
  typedef float Floats __attribute__((vector_size(sizeof(float) * kFloats)));
  // GCC 12 warns about the unmasked forms, whose other input is undefined by design.
  static constexpr __mmask16 kAll = 0xFFFF;

  static Floats widen_f16(const uint16_t* from) {
    return _mm512_maskz_cvtph_ps(kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Floats widen_bf16(const uint16_t* from) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(
        _mm512_maskz_slli_epi32(kAll, _mm512_maskz_cvtepu16_epi32(kAll, halves), 16));
  }
  static Floats widen_i8(const int8_t* from) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm512_maskz_cvtepi32_ps(kAll, _mm512_maskz_cvtepi8_epi32(kAll, bytes));
  }
  static void narrow_f16(Floats values, uint16_t* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm512_maskz_cvtps_ph(kAll, values, _MM_FROUND_TO_NEAREST_INT));
  }
};

}  // namespace
}  // namespace tercet
