// SPDX-License-Identifier: Apache-2.0
#include "kernels/generic/table.inl.h"
#include "kernels/generic/trit_tables.inl.h"
#include "kernels/isa/avx512/floats.inl.h"
#include "kernels/isa/avx512/lanes.inl.h"
#include "kernels/isa/tables.h"

namespace tercet {
namespace {

// VBMI adds permutations of bytes: 64 entries from one register, 128 from two.
struct Avx512Vbmi : Avx512Lanes {
  using Vectors = Avx512Floats;
  static constexpr int kFloats = 8;  // as avx512
  static constexpr bool kHasTables = true;

  static Bytes table(int quarter) { return load(kTritTables.low + 64 * quarter); }

  static Bytes low_trits(Bytes bytes) {
    const Bytes below = _mm512_permutex2var_epi8(table(0), bytes, table(1));
    const Bytes above = _mm512_permutex2var_epi8(table(2), bytes, table(3));
    return _mm512_mask_mov_epi8(below, _mm512_movepi8_mask(bytes), above);
  }
  static Bytes last_trit(Bytes bytes) {
    // The permutation looks at the low six bits of an index only.
    return _mm512_permutexvar_epi8(_mm512_srli_epi16(bytes, 2), load(kTritTables.last));
  }
};

}  // namespace

constinit const KernelTable kAvx512VbmiKernels = make_table<Avx512Vbmi>("avx512vbmi");

}  // namespace tercet
