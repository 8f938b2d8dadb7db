// SPDX-License-Identifier: Apache-2.0
#include "machine/isa/dot_loops.h"

namespace tercet {
namespace {

constexpr int kSums = 8;

// One multiplication and one addition of general registers at a time.
void run(int64_t steps, uint32_t* sink) {
  uint32_t sums[kSums] = {};
  uint32_t a = *sink + 3;
  uint32_t b = *sink + 127;
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 8
    for (uint32_t& sum : sums) {
      asm volatile("" : "+r"(a), "+r"(b));  // the compiler must not know that each is the same
      sum += a * b;
    }
  }
  for (const uint32_t sum : sums) *sink += sum;
}

}  // namespace

constinit const DotLoop kScalarDotLoop = {"multiply + add", kSums, run};

}  // namespace tercet
