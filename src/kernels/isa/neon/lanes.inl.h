// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/panel.h"

// The vocabulary of panel_dot.inl.h in NEON with the dot product of signed bytes: four rows a
// register.
namespace tercet {
namespace {

struct NeonLanes {
  using Bytes = uint8x16_t;
  using Sums = int32x4_t;
  using Partial = int32x4_t;
  using Floats = float32x4_t;
  static constexpr int kRows = 4;
  static constexpr int kRegisters = 4;
  static constexpr int kTiles[kPanelTiles] = {1, 2, 3, 4, 5};
  static constexpr bool kInPlace = false;  // digits in place would be negative
  static constexpr bool kHasTables = false;
  static constexpr int64_t steps_of(int) { return 0; }

  static Bytes load(const uint8_t* from) { return vld1q_u8(from); }
  static void prefetch(const uint8_t* from) { __builtin_prefetch(from + 2048); }
  static Bytes broadcast(const int8_t* four) {
    uint32_t word;
    __builtin_memcpy(&word, four, sizeof(word));
    return vreinterpretq_u8_u32(vdupq_n_u32(word));
  }
  static Bytes fill(int value) { return vdupq_n_u8(static_cast<uint8_t>(value)); }
  static Bytes both(Bytes a, Bytes b) { return vandq_u8(a, b); }
  template <int kBits>
  static Bytes shift_right(Bytes a) {
    if constexpr (kBits == 0)
      return a;
    else
      return vshrq_n_u8(a, kBits);
  }

  static Partial no_partial() { return vdupq_n_s32(0); }
  static Partial dot(Partial sum, Bytes digits, Bytes four) {
    return vdotq_s32(sum, vreinterpretq_s8_u8(digits), vreinterpretq_s8_u8(four));
  }
  static Sums zero() { return vdupq_n_s32(0); }
  static Sums add(Sums a, Sums b) { return vaddq_s32(a, b); }
  static Sums widen(Sums sum, Partial partial) { return vaddq_s32(sum, partial); }
  template <int kBits>
  static Sums shift_sums_right(Sums a) {
    if constexpr (kBits == 0)
      return a;
    else
      return vshrq_n_s32(a, kBits);
  }

  static Floats product(Sums sum, int32_t gain, int32_t correction) {
    return vcvtq_f32_s32(vsubq_s32(vmulq_n_s32(sum, gain), vdupq_n_s32(correction)));
  }
  static Floats load_floats(const float* from) { return vld1q_f32(from); }
  static Floats fill_floats(float value) { return vdupq_n_f32(value); }
  static Floats times(Floats a, Floats b) { return vmulq_f32(a, b); }
  static Floats over(Floats a, Floats b) { return vdivq_f32(a, b); }
  static Floats plus_floats(Floats a, Floats b) { return vaddq_f32(a, b); }
  static void store(Floats values, float* out) { vst1q_f32(out, values); }
};

}  // namespace
}  // namespace tercet
