// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/panel.h"
#include "packing/ternary.h"

namespace tercet {

// How the bytes of a stored row become the units of a panel: which bytes they are, and which column
// each place of them holds. A row is blocks of columns, a block some units of four bytes each.
struct PanelSource {
  struct Unit {
    int16_t byte = 0;        // where in the block its four bytes begin
    int16_t column = 0;      // that of the first field of the first byte
    int16_t field_step = 1;  // columns from one field of a byte to the next
    bool operator==(const Unit&) const = default;
  };
  static constexpr int kMaxUnits = 16;

  PanelFormat format = PanelFormat::kBit2;
  int32_t gain = 1;  // weight code = (gain * digit - offset)
  int32_t offset = 1;
  int16_t block_columns = 0;
  int16_t block_bytes = 0;
  int16_t block_units = 1;
  // Columns from one of the four bytes to the next: 1, or the fields of a byte.
  int16_t byte_step = 1;
  std::array<Unit, kMaxUnits> units{};
  bool is_tq1_0 = false;  // its bytes are turned into those of trit5

  bool operator==(const PanelSource&) const = default;
};

// How rows of `layout` become panels.
PanelSource panel_source(packing::Layout layout);
// The same for rows of nibbles, two a byte: columns 8i + j and 8i + 4 + j in byte 4i + j.
PanelSource nibble_source();

// The sizes of a matrix [rows, cols] in panels, `group` columns to a scale (cols if not per group).
struct PanelShape {
  int64_t groups = 0;
  int64_t units = 0;       // of a group
  int64_t last_units = 0;  // of the last group
  int64_t panels = 0;
  int64_t panel_bytes = 0;

  int64_t row_units() const { return (groups - 1) * units + last_units; }
  int64_t bytes() const { return panels * panel_bytes; }
};
PanelShape panel_shape(const PanelSource& source, int64_t rows, int64_t cols, int64_t group,
                       int64_t panel_rows);

// Stored rows as panels [first, first + count) of a matrix; out: those panels.
struct PanelRows {
  std::span<const uint8_t> data;  // [rows] of row_stride bytes
  int64_t row_stride = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t group = 0;  // columns per scale; each group begins on a byte, or on a block
};
void pack_panels(const PanelSource& source, const PanelRows& rows, int64_t panel_rows,
                 int64_t first, int64_t count, uint8_t* out);

// Activations as panels of that source meet them, `tile` tokens side by side.
// q: [tokens, cols], tokens <= tile; out: [row_units * fields][tile][4]; sums: [groups][tile].
void arrange_tile(const PanelSource& source, const int8_t* q, int64_t tokens, int64_t cols,
                  int64_t group, int tile, int8_t* out, int32_t* sums);

}  // namespace tercet
