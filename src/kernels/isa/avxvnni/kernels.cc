// SPDX-License-Identifier: Apache-2.0
#include "kernels/generic/table.inl.h"
#include "kernels/isa/avx2/floats.inl.h"
#include "kernels/isa/avx2/lanes.inl.h"
#include "kernels/isa/tables.h"

namespace tercet {
namespace {

// AVX2 with vpdpbusd, which adds four products to a sum of 32 bits.
struct AvxVnni : Avx2Lanes {
  using Vectors = Avx2Floats;
  static constexpr int kFloats = 8;
  static constexpr int64_t steps_of(int) { return 0; }
  static Partial dot(Partial sum, Bytes digits, Bytes four) {
    return _mm256_dpbusd_avx_epi32(sum, digits, four);
  }
  static Sums widen(Sums sum, Partial partial) { return _mm256_add_epi32(sum, partial); }
};

}  // namespace

constinit const KernelTable kAvxVnniKernels = make_table<AvxVnni>("avxvnni");

}  // namespace tercet
