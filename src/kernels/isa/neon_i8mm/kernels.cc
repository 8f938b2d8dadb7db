// SPDX-License-Identifier: Apache-2.0
#include "kernels/generic/plain_floats.inl.h"
#include "kernels/generic/table.inl.h"
#include "kernels/isa/neon/lanes.inl.h"
#include "kernels/isa/tables.h"

namespace tercet {
namespace {

// I8MM adds the dot product of unsigned with signed bytes, so that digits may stay in place.
struct NeonI8mm : NeonLanes {
  using Vectors = PlainFloats;
  static constexpr int kFloats = 4;
  static constexpr bool kInPlace = true;
  static Partial dot(Partial sum, Bytes digits, Bytes four) {
    return vusdotq_s32(sum, digits, vreinterpretq_s8_u8(four));
  }
};

}  // namespace

constinit const KernelTable kNeonI8mmKernels = make_table<NeonI8mm>("neon_i8mm");

}  // namespace tercet
