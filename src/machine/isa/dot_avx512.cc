// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "machine/isa/dot_loops.h"

namespace tercet {
namespace {

// More sums than an instruction's latency times what can start in a cycle.
constexpr int kSums = 16;

void run(int64_t steps, uint32_t* sink) {
  __m512i sums[kSums] = {};
  const __m512i a = _mm512_set1_epi32(*sink + 0x01020100);
  const __m512i b = _mm512_set1_epi32(*sink + 0x7F80017F);
  // Or the compiler would see that all sums are the same one.
  for (__m512i& sum : sums) asm volatile("" : "+v"(sum));
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 16
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
  }
  __m512i total = _mm512_setzero_si512();
  for (const __m512i& sum : sums) total = _mm512_add_epi32(total, sum);
  alignas(64) int32_t lanes[16];
  _mm512_store_si512(lanes, total);
  *sink += lanes[0];
}

}  // namespace

constinit const DotLoop kAvx512DotLoop = {"vpdpbusd zmm", int64_t{64} * kSums, run};

}  // namespace tercet
