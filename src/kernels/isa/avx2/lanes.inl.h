// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/panel.h"

// The vocabulary of panel_dot.inl.h in 256-bit registers, eight rows each. Products are summed in
// 16 bits for as long as they fit and then widened.
namespace tercet {
namespace {

struct Avx2Lanes {
  using Bytes = __m256i;
  using Sums = __m256i;
  using Partial = __m256i;  // int16, two for each row
  using Floats = __m256;
  static constexpr int kRows = 8;
  static constexpr int kRegisters = 2;
  static constexpr int kTiles[kPanelTiles] = {1, 2, 3, 4, 5};
  static constexpr bool kInPlace = false;
  static constexpr bool kHasTables = false;
  // Each step adds two products to a sum of 16 bits.
  static constexpr int64_t steps_of(int largest_digit) { return 32767 / (2 * 128 * largest_digit); }

  static Bytes load(const uint8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static void prefetch(const uint8_t* from) {
    _mm_prefetch(reinterpret_cast<const char*>(from) + 8192, _MM_HINT_T0);
  }
  static Bytes broadcast(const int8_t* four) {
    int32_t word;
    __builtin_memcpy(&word, four, sizeof(word));
    return _mm256_set1_epi32(word);
  }
  static Bytes fill(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
  static Bytes both(Bytes a, Bytes b) { return _mm256_and_si256(a, b); }
  template <int kBits>
  static Bytes shift_right(Bytes a) {
    if constexpr (kBits == 0) return a;
    return _mm256_srli_epi16(a, kBits);
  }

  static Partial no_partial() { return _mm256_setzero_si256(); }
  static Partial dot(Partial sum, Bytes digits, Bytes four) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(digits, four));
    // One sum after the other: GCC 12 would form them all in another order and run out of
    // registers.
    asm("" : "+x"(sum));
    return sum;
  }
  static Sums zero() { return _mm256_setzero_si256(); }
  static Sums add(Sums a, Sums b) { return _mm256_add_epi32(a, b); }
  static Sums widen(Sums sum, Partial partial) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(partial, _mm256_set1_epi16(1)));
  }

  static Floats product(Sums sum, int32_t gain, int32_t correction) {
    const Sums scaled = _mm256_mullo_epi32(sum, _mm256_set1_epi32(gain));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(scaled, _mm256_set1_epi32(correction)));
  }
  static Floats load_floats(const float* from) { return _mm256_loadu_ps(from); }
  static Floats fill_floats(float value) { return _mm256_set1_ps(value); }
  static Floats times(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats over(Floats a, Floats b) { return _mm256_div_ps(a, b); }
  static Floats plus_floats(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static void store(Floats values, float* out) { _mm256_storeu_ps(out, values); }
};

}  // namespace
}  // namespace tercet
