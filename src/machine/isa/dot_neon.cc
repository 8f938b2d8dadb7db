// SPDX-License-Identifier: Apache-2.0
#include <arm_neon.h>

#include "machine/isa/dot_loops.h"

namespace tercet {
namespace {

constexpr int kSums = 16;

void run(int64_t steps, uint32_t* sink) {
  int32x4_t sums[kSums] = {};
  const int8x16_t a = vreinterpretq_s8_s32(vdupq_n_s32(*sink + 0x01020100));
  const int8x16_t b = vreinterpretq_s8_s32(vdupq_n_s32(*sink + 0x7F80017F));
  // Or the compiler would see that all sums are the same one.
  for (int32x4_t& sum : sums) asm volatile("" : "+w"(sum));
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 16
    for (int32x4_t& sum : sums) sum = vdotq_s32(sum, a, b);
  }
  for (const int32x4_t& sum : sums) *sink += vaddvq_s32(sum);
}

}  // namespace

constinit const DotLoop kNeonDotLoop = {"sdot", int64_t{16} * kSums, run};

}  // namespace tercet
