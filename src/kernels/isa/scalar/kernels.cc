// SPDX-License-Identifier: Apache-2.0
#include "kernels/generic/plain_floats.inl.h"
#include "kernels/generic/plain_lanes.inl.h"
#include "kernels/generic/table.inl.h"
#include "kernels/isa/tables.h"

namespace tercet {
namespace {

struct Scalar : PlainLanes {
  using Vectors = PlainFloats;
  static constexpr int kFloats = 4;  // what every CPU of the architecture has
};

}  // namespace

constinit const KernelTable kScalarKernels = make_table<Scalar>("scalar");

}  // namespace tercet
