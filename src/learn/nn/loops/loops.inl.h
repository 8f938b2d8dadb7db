// SPDX-License-Identifier: Apache-2.0
// The loops themselves, compiled once per instruction set. Everything has internal linkage, so that
// no code compiled for a newer CPU can be picked by the linker for the baseline.
#pragma once

#include "learn/nn/loops/adamw.inl.h"
#include "learn/nn/loops/attention.inl.h"
#include "learn/nn/loops/cross_entropy.inl.h"
#include "learn/nn/loops/divergence.inl.h"
#include "learn/nn/loops/glu.inl.h"
#include "learn/nn/loops/loop_table.h"
#include "learn/nn/loops/norm.inl.h"
#include "learn/nn/loops/quantize.inl.h"
#include "learn/nn/loops/soft_ternary.inl.h"
#include "learn/nn/loops/variants.inl.h"

namespace tercet::learn {
namespace {

template <typename Store>
constexpr TypedLoops<Store> make_typed_loops() {
  return {.convert = convert<Store>,
          .widen = widen<Store>,
          .numbers = numbers<Store>,
          .scale_rows = scale_rows<Store>,
          .scale_gradient = scale_gradient<Store>,
          .split_rotate = split_rotate<Store>,
          .merge_rotate = merge_rotate<Store>,
          .merge_heads = merge_heads<Store>,
          .split_heads = split_heads<Store>,
          .causal_softmax = causal_softmax<Store>,
          .causal_softmax_backward = causal_softmax_backward<Store>,
          .cross_entropy = cross_entropy<Store>,
          .divergence = divergence<Store>};
}

constexpr LoopTable make_loop_table(const char* name) {
  return {.name = name,
          .f32 = make_typed_loops<float>(),
          .bf16 = make_typed_loops<uint16_t>(),
          .quantize_rows = quantize_rows,
          .quantize = quantize,
          .fade = fade,
          .binarize = binarize,
          .ternarize = ternarize,
          .soft_ternary = soft_ternary,
          .soft_ternary_backward = soft_ternary_backward,
          .hard_ternary = hard_ternary,
          .hard_ternary_backward = hard_ternary_backward,
          .adamw = adamw,
          .rms_norm = rms_norm,
          .rms_norm_backward = rms_norm_backward,
          .plain_norm = plain_norm,
          .plain_norm_backward = plain_norm_backward,
          .glu_silu = glu<Silu>,
          .glu_relu2 = glu<Relu2>,
          .glu_silu_backward = glu_backward<Silu>,
          .glu_relu2_backward = glu_backward<Relu2>};
}

}  // namespace
}  // namespace tercet::learn
