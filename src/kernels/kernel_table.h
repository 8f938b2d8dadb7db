// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/attention.h"
#include "kernels/panel.h"

namespace tercet {

// What one instruction set offers. Every kernel, float sums included, gives the same bits on every
// ISA. Pointers to weights need no alignment at all, those to q and x that of their type. No kernel
// allocates or throws. Bytes that stand for no codes give a wrong sum, never an access out of
// bounds.
struct KernelTable {
  const char* name;

  // Per-token activation quantizer of BitNet b1.58: s = 127 / max(absmax(x), 1e-5),
  // q = clamp(round_half_even(x * s), -128, 127). Returns s. x: [n] f32, q: [n]. When x holds a NaN
  // or an infinity, s is NaN and every q is 0, so that what is scaled back by s becomes NaN as well
  // and the fault shows. Expects the default rounding mode.
  float (*quantize_absmax_i8)(const float* x, int64_t n, int8_t* q);

  // That of BitNet a4.8 to 4 bits: s = sqrt(7) / max(mean |x|, 1e-5), the mean in double,
  // q = round_half_even(clamp(x * s, -8, 7)); otherwise the same.
  float (*quantize_absmean_i4)(const float* x, int64_t n, int8_t* q);

  // Products of panels of rows (kernels/panel.h) with a tile of int8 vectors, by PanelFormat. There
  // is none of kTrit5 where bytes cannot be permuted: taking such digits apart costs more than the
  // bytes they save.
  int panel_rows;
  std::array<int, kPanelTiles> tiles;  // rising, the first is 1
  std::array<void (*)(const PanelCall& call), kPanelFormats> panel_dot;

  // Float dot products of stored rows with one f32 vector: out[r] = sum w x, accumulated in f32 in
  // 32 lanes (element i in lane i % 32), which are added pairwise: l and l + 16, l + 8, ... l + 1.
  // w: [rows, cols] without gaps, little-endian f32, f16 or bf16.
  void (*dot_f32)(const void* w, int64_t rows, int64_t cols, const float* x, float* out);
  void (*dot_f16)(const void* w, int64_t rows, int64_t cols, const float* x, float* out);
  void (*dot_bf16)(const void* w, int64_t rows, int64_t cols, const float* x, float* out);
  // q8_0: blocks of 32 int8 with an f16 scale in front (34 bytes); cols a multiple of 32.
  void (*dot_q8_0)(const void* w, int64_t rows, int64_t cols, const float* x, float* out);

  // out = x / sqrt(mean(x^2) + eps) * weight, the mean in double; all [n], out may be x.
  void (*rms_norm)(const float* x, const float* weight, int64_t n, float eps, float* out);
  // out = (x - mean(x)) / sqrt(variance(x) + eps), both in double; all [n], out may be x.
  void (*layer_norm)(const float* x, int64_t n, float eps, float* out);
  // In place, each run of `block` elements, a power of two that divides n, times the Walsh-Hadamard
  // matrix over sqrt(block). Halves of a block are added and subtracted first, neighbours last.
  void (*hadamard)(float* x, int64_t n, int64_t block);
  // sum += x, both [n].
  void (*add)(const float* x, int64_t n, float* sum);
  // out = activation(gate) * up, all [n]; out may be either. gelu is the approximation by tanh.
  void (*silu_gate)(const float* gate, const float* up, int64_t n, float* out);
  void (*relu2_gate)(const float* gate, const float* up, int64_t n, float* out);
  void (*gelu_gate)(const float* gate, const float* up, int64_t n, float* out);
  // Rotates the pairs (i, i + pairs) or (2i, 2i + 1) of a head in place; cosines, sines: [pairs].
  void (*rotate_halves)(const float* cosines, const float* sines, int64_t pairs, float* head);
  void (*rotate_neighbours)(const float* cosines, const float* sines, int64_t pairs, float* head);

  // Rounds to the nearest, ties to even; f16 saturates at its largest number.
  void (*narrow_to_f16)(const float* x, int64_t n, uint16_t* out);
  void (*narrow_to_bf16)(const float* x, int64_t n, uint16_t* out);

  // Softmax attention over one segment of a key-value cache, by KvType. The result of a query is
  // the same whatever other queries the call holds.
  std::array<void (*)(const AttentionCall& call), kKvTypes> attend;
  // Query `from` of one state joins query `to` of another; the order of joins matters to the bits.
  void (*merge_attention)(const AttentionState& state, int64_t from, int64_t head_dim,
                          const AttentionState& into, int64_t to);
  // The attention of a query whose segments are all in; out: [head_dim].
  void (*finish_attention)(const AttentionState& state, int64_t query, int64_t head_dim,
                           float* out);
};

// All ISAs compiled into this program, best first; `usable` says whether this CPU can run it.
struct IsaEntry {
  const KernelTable* table;
  bool usable;
};
std::vector<IsaEntry> available_isas();

// The best usable table, or the one named by `forced` (the TERCET_ISA environment variable, read by
// the command line). Throws kUsage for an unknown name, kUnsupported when this CPU lacks it.
const KernelTable& select_kernels(std::string_view forced);

}  // namespace tercet
