// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/generic/float_dot.inl.h"
#include "kernels/generic/quantize.inl.h"
#include "kernels/generic/ternary_dot.inl.h"
#include "kernels/kernel_table.h"

namespace tercet {
namespace {

// The generic algorithms compiled for one ISA, which gives
//   kFloats  floats in a vector of partial sums; divides 32
//   Tile     int8_t or int16_t: the type in which activations meet ternary digits
template <class Isa>
constexpr KernelTable make_table(const char* name) {
  return {.name = name,
          .quantize_absmax_i8 = quantize_absmax<Isa>,
          .trit4_dot_i32 = ternary_dot<Isa, Trit4>,
          .trit5_dot_i32 = ternary_dot<Isa, Trit5>,
          .tq1_0_dot_i32 = tq1_0_dot<Isa>,
          .tq2_0_dot_i32 = tq2_0_dot<Isa>,
          .i2_s_dot_i32 = i2_s_dot<Isa>,
          .i2_s64_dot_i32 = i2_s64_dot<Isa>,
          .dot_f32 = float_dot<Isa, F32Row>,
          .dot_f16 = float_dot<Isa, F16Row>,
          .dot_bf16 = float_dot<Isa, Bf16Row>,
          .dot_q8_0 = float_dot<Isa, Q8Row>};
}

}  // namespace
}  // namespace tercet
