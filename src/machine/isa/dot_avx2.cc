// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "machine/isa/dot_loops.h"

namespace tercet {
namespace {

constexpr int kSums = 12;  // of 16 registers

// Products are added in 16 bits, which is the least that any AVX2 kernel must do for each.
void run(int64_t steps, uint32_t* sink) {
  __m256i sums[kSums] = {};
  __m256i a = _mm256_set1_epi32(*sink + 0x01020100);
  const __m256i b = _mm256_set1_epi32(*sink + 0x7F80017F);
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (__m256i& sum : sums) {
      asm volatile("" : "+x"(a));  // the compiler must not know that each product is the same
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, b));
    }
  }
  for (const __m256i& sum : sums) *sink += _mm256_extract_epi32(sum, 0);
}

}  // namespace

constinit const DotLoop kAvx2DotLoop = {"vpmaddubsw + vpaddw ymm", int64_t{32} * kSums, run};

}  // namespace tercet
