// SPDX-License-Identifier: Apache-2.0
#include "kernels/generic/plain_floats.inl.h"
#include "kernels/generic/table.inl.h"
#include "kernels/isa/neon/lanes.inl.h"
#include "kernels/isa/tables.h"

namespace tercet {
namespace {

struct Neon : NeonLanes {
  using Vectors = PlainFloats;  // of four, which the compiler puts into registers
  static constexpr int kFloats = 4;
};

}  // namespace

constinit const KernelTable kNeonKernels = make_table<Neon>("neon");

}  // namespace tercet
