// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "packing/ternary.h"

namespace tercet {

// Low-bit matrices in the order in which kernels read them: panels of rows, one row in each 32-bit
// lane of a register, so that no sum crosses lanes and one activation load serves all rows.
//
//   panel   KernelTable::panel_rows rows, whole; the last one is filled up with zero bytes
//   group   the columns of one scale; all of them unless scales are per group
//   unit    4 bytes of every row of the panel: 4 * fields(format) columns of a group
//   field   one weight of each byte: 4 columns, which meet 4 activations in one instruction
//
// A panel is its groups one after the other, a group its units. Which column lies in which place is
// decided by where the bytes come from (panel_source.h): activations are put into the same order.
enum class PanelFormat : uint8_t {
  kBit1,   // eight signs a byte: digit 1 for +1, 0 for -1
  kBit2,   // four codes a byte, digit = code + 1
  kTrit5,  // five codes a byte worth 1, 3, 9, 27 and 84, digit = code + 1
  kBit4,   // two nibbles a byte, digit = nibble
};
inline constexpr int kPanelFormats = 4;

constexpr int fields_of(PanelFormat format) {
  constexpr std::array<int, kPanelFormats> kFields = {8, 4, 5, 2};
  return kFields[static_cast<size_t>(format)];
}

// Numbers of tokens that kernels are made for, on each instruction set.
inline constexpr int kPanelTiles = 5;

// A kernel takes one tile of tokens at a time, as many as KernelTable::tiles says. What a tile's
// activations look like to it; made by arrange_tile().
struct PanelTile {
  int tile = 1;               // token places, one of KernelTable::tiles; those not used hold zeros
  const int8_t* q = nullptr;  // [places of a row / 4][tile][4]
  const int32_t* sums = nullptr;  // [groups][tile], of the activations of each group
  // What the activations were multiplied by: [tile], or [groups][tile] where each group has a scale
  // of its own.
  const float* scales = nullptr;
  bool scale_per_group = false;
};

// Panels of a matrix times one tile:
//   product = gain * sum(digit * q) - offset * sum(q)        exact in int32, for each group
//   y = product * (w_scale / q_scale)                        kTensor, kRow
//   y = (sum over groups of product * w_scale) / q_scale     kGroup
//   y = sum over groups of product * (w_scale / q_scale)     kGroup with PanelTile::scale_per_group
struct PanelCall {
  const uint8_t* panels = nullptr;  // the first of them
  int64_t panel_count = 0;
  int64_t groups = 1;
  int64_t units = 0;       // of each group
  int64_t last_units = 0;  // of the last one
  int32_t gain = 1;
  int32_t offset = 1;
  packing::ScaleScope scope = packing::ScaleScope::kTensor;
  // Of these panels: one scale, [rows], or for each panel [groups][panel_rows].
  const float* w_scales = nullptr;
  PanelTile tile;
  int tokens = 1;        // that results are wanted for, at most tile.tile
  int64_t rows = 0;      // that results are wanted for
  float* out = nullptr;  // out[token * out_stride + row]
  int64_t out_stride = 0;
};

// The most rows that a panel of any instruction set has.
inline constexpr int kMaxPanelRows = 64;
// The longest row that every product of every format fits int32 for.
inline constexpr int64_t kMaxPanelColumns = int64_t{1} << 18;

}  // namespace tercet
