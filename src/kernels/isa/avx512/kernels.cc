// SPDX-License-Identifier: Apache-2.0
#include "kernels/generic/table.inl.h"
#include "kernels/isa/avx512/floats.inl.h"
#include "kernels/isa/avx512/lanes.inl.h"
#include "kernels/isa/tables.h"

namespace tercet {
namespace {

struct Avx512 : Avx512Lanes {
  using Vectors = Avx512Floats;
  // Half a register: the compiler widens q8_0 in pieces of 256 bits, and a load waits for the cache
  // when it covers more than one pending store.
  static constexpr int kFloats = 8;
};

}  // namespace

constinit const KernelTable kAvx512Kernels = make_table<Avx512>("avx512");

}  // namespace tercet
