// SPDX-License-Identifier: Apache-2.0
#include "kernels/generic/table.inl.h"
#include "kernels/isa/avx2/floats.inl.h"
#include "kernels/isa/avx2/lanes.inl.h"
#include "kernels/isa/tables.h"

namespace tercet {
namespace {

struct Avx2 : Avx2Lanes {
  using Vectors = Avx2Floats;
  static constexpr int kFloats = 8;
};

}  // namespace

constinit const KernelTable kAvx2Kernels = make_table<Avx2>("avx2");

}  // namespace tercet
