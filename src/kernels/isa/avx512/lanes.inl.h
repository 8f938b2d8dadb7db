// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/panel.h"

// The vocabulary of panel_dot.inl.h in AVX-512 with VNNI: sixteen rows a register.
namespace tercet {
namespace {

struct Avx512Lanes {
  using Bytes = __m512i;
  using Sums = __m512i;
  using Partial = __m512i;
  using Floats = __m512;
  static constexpr int kRows = 16;
  // Two registers share each activation load; with twelve tokens their 24 sums stay in registers.
  static constexpr int kRegisters = 2;
  static constexpr int kTiles[kPanelTiles] = {1, 2, 4, 8, 12};
  static constexpr bool kInPlace = true;
  static constexpr bool kHasTables = false;
  static constexpr int64_t steps_of(int) { return 0; }

  static Bytes load(const uint8_t* from) {
    Bytes bytes = _mm512_loadu_si512(from);
    // One load: GCC would rather read again than copy the register that a permutation overwrites.
    asm("" : "+v"(bytes));
    return bytes;
  }
  // Far enough to keep the memory busy across page ends, where the hardware's own reach stops.
  static void prefetch(const uint8_t* from) {
    _mm_prefetch(reinterpret_cast<const char*>(from) + 8192, _MM_HINT_T0);
  }
  static Bytes broadcast(const int8_t* four) {
    int32_t word;
    __builtin_memcpy(&word, four, sizeof(word));
    return _mm512_set1_epi32(word);
  }
  static Bytes fill(int value) { return _mm512_set1_epi8(static_cast<char>(value)); }
  static Bytes both(Bytes a, Bytes b) { return _mm512_and_si512(a, b); }
  // Bits of the byte above come in from the left.
  template <int kBits>
  static Bytes shift_right(Bytes a) {
    if constexpr (kBits == 0) return a;
    return _mm512_srli_epi16(a, kBits);
  }

  static Partial no_partial() { return _mm512_setzero_si512(); }
  // Not the intrinsic: GCC 12 then moves every sum to another register and back.
  static Partial dot(Partial sum, Bytes digits, Bytes four) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(digits), "v"(four));
    return sum;
  }
  static Sums zero() { return _mm512_setzero_si512(); }
  static Sums add(Sums a, Sums b) { return _mm512_add_epi32(a, b); }
  static Sums widen(Sums sum, Partial partial) { return _mm512_add_epi32(sum, partial); }
  template <int kBits>
  static Sums shift_sums_right(Sums a) {
    return _mm512_srai_epi32(a, kBits);
  }

  static Floats product(Sums sum, int32_t gain, int32_t correction) {
    const Sums scaled = _mm512_mullo_epi32(sum, _mm512_set1_epi32(gain));
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(scaled, _mm512_set1_epi32(correction)));
  }
  static Floats load_floats(const float* from) { return _mm512_loadu_ps(from); }
  static Floats fill_floats(float value) { return _mm512_set1_ps(value); }
  static Floats times(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats over(Floats a, Floats b) { return _mm512_div_ps(a, b); }
  static Floats plus_floats(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static void store(Floats values, float* out) { _mm512_storeu_ps(out, values); }
};

}  // namespace
}  // namespace tercet
