// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/generic/attention.inl.h"
#include "kernels/generic/float_dot.inl.h"
#include "kernels/generic/hadamard.inl.h"
#include "kernels/generic/panel_dot.inl.h"
#include "kernels/generic/quantize.inl.h"
#include "kernels/generic/vector_ops.inl.h"
#include "kernels/kernel_table.h"

namespace tercet {
namespace {

// The generic algorithms compiled for one ISA, which gives
//   kFloats  floats in a vector of partial sums; divides 32
//   Vectors  the vocabulary of vectors.inl.h and attention.inl.h
// and the vocabulary of panel_dot.inl.h.
template <class Isa>
constexpr KernelTable make_table(const char* name) {
  using V = typename Isa::Vectors;
  return {.name = name,
          .quantize_absmax_i8 = quantize_absmax<Isa>,
          .quantize_absmean_i4 = quantize_absmean_i4<Isa>,
          .panel_rows = Isa::kRegisters * Isa::kRows,
          .tiles = {Isa::kTiles[0], Isa::kTiles[1], Isa::kTiles[2], Isa::kTiles[3], Isa::kTiles[4]},
          .panel_dot = {panel_dot<Isa, PanelFormat::kBit1>, panel_dot<Isa, PanelFormat::kBit2>,
                        trit5_dot<Isa>(), panel_dot<Isa, PanelFormat::kBit4>},
          .dot_f32 = float_dot<Isa, F32Row>,
          .dot_f16 = float_dot<Isa, F16Row>,
          .dot_bf16 = float_dot<Isa, Bf16Row>,
          .dot_q8_0 = float_dot<Isa, Q8Row>,
          .rms_norm = rms_norm<V>,
          .layer_norm = layer_norm<V>,
          .hadamard = hadamard<V>,
          .add = add_to<V>,
          .silu_gate = silu_gate<V>,
          .relu2_gate = relu2_gate<V>,
          .gelu_gate = gelu_gate<V>,
          .rotate_halves = rotate_halves<V>,
          .rotate_neighbours = rotate_neighbours<V>,
          .narrow_to_f16 = narrow_to_f16<V>,
          .narrow_to_bf16 = narrow_to_bf16<V>,
          .attend = {attend_segment<V, F32Cache>, attend_segment<V, F16Cache>,
                     attend_segment<V, Bf16Cache>, attend_segment<V, Int8Cache>},
          .merge_attention = merge_attention<V>,
          .finish_attention = finish_attention<V>};
}

}  // namespace
}  // namespace tercet
