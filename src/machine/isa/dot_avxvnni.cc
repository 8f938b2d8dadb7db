// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "machine/isa/dot_loops.h"

namespace tercet {
namespace {

constexpr int kSums = 12;  // of 16 registers

void run(int64_t steps, uint32_t* sink) {
  __m256i sums[kSums] = {};
  const __m256i a = _mm256_set1_epi32(*sink + 0x01020100);
  const __m256i b = _mm256_set1_epi32(*sink + 0x7F80017F);
  // Or the compiler would see that all sums are the same one.
  for (__m256i& sum : sums) asm volatile("" : "+x"(sum));
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (__m256i& sum : sums) sum = _mm256_dpbusd_avx_epi32(sum, a, b);
  }
  for (const __m256i& sum : sums) *sink += _mm256_extract_epi32(sum, 0);
}

}  // namespace

constinit const DotLoop kAvxVnniDotLoop = {"vpdpbusd ymm", int64_t{32} * kSums, run};

}  // namespace tercet
