// SPDX-License-Identifier: Apache-2.0
#include "kernels/generic/plain_floats.inl.h"
#include "kernels/generic/table.inl.h"
#include "kernels/isa/tables.h"

namespace tercet {
namespace {

struct Scalar {
  // What every CPU of the architecture has.
  using Vectors = PlainFloats;
  static constexpr int kFloats = 4;
  // Products of 16-bit pairs in 32-bit sums are one instruction even there.
  using Tile = int16_t;
};

}  // namespace

constinit const KernelTable kScalarKernels = make_table<Scalar>("scalar");

}  // namespace tercet
