// SPDX-License-Identifier: Apache-2.0
#include "kernels/panel_source.h"

#include <algorithm>
#include <cstring>

namespace tercet {
namespace {

using packing::Layout;

constexpr int64_t kUnitBytes = 4;  // of one row

int64_t divide_up(int64_t count, int64_t step) { return (count + step - 1) / step; }

// Ours: the codes of a byte are neighbours, and units simply follow one another.
PanelSource neighbours(PanelFormat format) {
  const int fields = fields_of(format);
  PanelSource source;
  source.format = format;
  source.block_columns = static_cast<int16_t>(4 * fields);
  source.block_bytes = kUnitBytes;
  source.byte_step = static_cast<int16_t>(fields);
  return source;
}

// Adds units for `bytes` bytes of a block, whose fields are `field_step` columns apart.
void add_units(PanelSource& source, int byte, int bytes, int column, int field_step) {
  for (int i = 0; i < bytes; i += kUnitBytes) {
    source.units[static_cast<size_t>(source.block_units++)] = {static_cast<int16_t>(byte + i),
                                                               static_cast<int16_t>(column + i),
                                                               static_cast<int16_t>(field_step)};
  }
}

PanelSource blocks(PanelFormat format, int columns, int bytes) {
  PanelSource source;
  source.format = format;
  source.block_columns = static_cast<int16_t>(columns);
  source.block_bytes = static_cast<int16_t>(bytes);
  source.block_units = 0;
  return source;
}

// Digits 0 and 1 for codes -1 and 1.
PanelSource signs(PanelSource source) {
  source.gain = 2;
  return source;
}

// Blocks that begin with an f16 scale and keep neighbours in a byte.
PanelSource behind_scale(PanelFormat format, int columns) {
  const int fields = fields_of(format);
  PanelSource source = blocks(format, columns, 2 + columns / fields);
  source.byte_step = static_cast<int16_t>(fields);
  for (int i = 0; i < columns / fields; i += kUnitBytes) {
    source.units[static_cast<size_t>(source.block_units++)] = {static_cast<int16_t>(2 + i),
                                                               static_cast<int16_t>(fields * i), 1};
  }
  return source;
}

PanelSource tq2_0_source() {
  PanelSource source = blocks(PanelFormat::kBit2, 256, 66);
  add_units(source, 0, 32, 0, 32);
  add_units(source, 32, 32, 128, 32);
  return source;
}

PanelSource tq1_0_source() {
  PanelSource source = blocks(PanelFormat::kTrit5, 256, 54);
  source.is_tq1_0 = true;
  add_units(source, 0, 32, 0, 32);
  add_units(source, 32, 16, 160, 16);
  add_units(source, 48, 4, 240, 4);
  return source;
}

// The first columns of a block lie in the highest bits.
PanelSource i2_s_source(int width) {
  PanelSource source = blocks(PanelFormat::kBit2, 4 * width, width);
  add_units(source, 0, width, 3 * width, -width);
  return source;
}

// A tq1_0 byte is a base-3 fraction of 256, its first digit counting most; the same digits as a
// trit5 byte.
constexpr std::array<uint8_t, 256> make_tq1_bytes() {
  constexpr std::array<int, 5> kWeights = {1, 3, 9, 27, 84};
  std::array<uint8_t, 256> bytes{};
  for (int byte = 0; byte < 256; ++byte) {
    int fraction = byte;
    int out = 0;
    for (const int weight : kWeights) {
      fraction *= 3;
      out += (fraction >> 8) * weight;
      fraction &= 255;
    }
    bytes[static_cast<size_t>(byte)] = static_cast<uint8_t>(out);
  }
  return bytes;
}
constexpr std::array<uint8_t, 256> kTq1Bytes = make_tq1_bytes();

// Whether places stand for columns that the block does not have: the fifth codes of tq1_0's tail.
bool has_idle_places(const PanelSource& source, const PanelSource::Unit& unit) {
  const int fields = fields_of(source.format);
  return unit.column + (fields - 1) * unit.field_step + 3 * source.byte_step >=
         source.block_columns;
}

// Bytes that a stored row keeps a group of `columns` in.
int64_t group_bytes(const PanelSource& source, int64_t columns) {
  // Only where the codes of a byte are neighbours can a group end inside a block.
  const bool is_ragged = source.byte_step == fields_of(source.format) && source.block_units == 1;
  return is_ragged ? divide_up(columns, fields_of(source.format))
                   : divide_up(columns, source.block_columns) * source.block_bytes;
}

// The four bytes of each unit of one row, units `stride` bytes apart in `out`.
void pack_row(const PanelSource& source, const uint8_t* row, const PanelRows& rows, int64_t stride,
              uint8_t* out) {
  for (int64_t column = 0; column < rows.cols; column += rows.group) {
    const int64_t columns = std::min(rows.group, rows.cols - column);
    const int64_t bytes = group_bytes(source, columns);
    for (int64_t block = 0; block < bytes; block += source.block_bytes) {
      for (int i = 0; i < source.block_units; ++i, out += stride) {
        const int64_t at = block + source.units[static_cast<size_t>(i)].byte;
        const int64_t left = std::min(kUnitBytes, bytes - at);
        std::memcpy(out, row + at, static_cast<size_t>(left));
        if (!source.is_tq1_0) continue;
        for (int64_t b = 0; b < kUnitBytes; ++b) out[b] = kTq1Bytes[out[b]];
      }
    }
    row += bytes;
  }
}

// The 4 * fields activations of one unit, `tile` words apart. `group`: those of the whole group.
void arrange_unit(const PanelSource& source, const PanelSource::Unit& unit,
                  std::span<const int8_t> group, int64_t block, int tile, int8_t* out) {
  const int fields = fields_of(source.format);
  const int64_t step = source.byte_step;
  const bool whole = block + source.block_columns <= std::ssize(group);
  if (whole && !has_idle_places(source, unit)) {
    const int8_t* from = group.data() + block + unit.column;
    for (int field = 0; field < fields;
         ++field, from += unit.field_step, out += kUnitBytes * tile) {
      const std::array<int8_t, 4> four = {from[0], from[step], from[2 * step], from[3 * step]};
      std::memcpy(out, four.data(), four.size());
    }
    return;
  }
  for (int field = 0; field < fields; ++field, out += kUnitBytes * tile) {
    for (int64_t byte = 0; byte < kUnitBytes; ++byte) {
      const int64_t column = unit.column + field * unit.field_step + byte * step;
      const bool is_there = column < source.block_columns && block + column < std::ssize(group);
      out[byte] = is_there ? group[static_cast<size_t>(block + column)] : int8_t{0};
    }
  }
}

}  // namespace

PanelSource panel_source(Layout layout) {
  switch (layout) {
    case Layout::kTrit4:
      return neighbours(PanelFormat::kBit2);
    case Layout::kTrit5:
      return neighbours(PanelFormat::kTrit5);
    case Layout::kSign8:
      return signs(neighbours(PanelFormat::kBit1));
    case Layout::kQ1_0:
      return signs(behind_scale(PanelFormat::kBit1, 128));
    case Layout::kQ2_0:
      return behind_scale(PanelFormat::kBit2, 64);
    case Layout::kQ2_0G128:
      return behind_scale(PanelFormat::kBit2, 128);
    case Layout::kTq1_0:
      return tq1_0_source();
    case Layout::kTq2_0:
      return tq2_0_source();
    case Layout::kI2S:
      return i2_s_source(32);
    case Layout::kI2S64:
      return i2_s_source(16);
  }
  return neighbours(PanelFormat::kBit2);
}

PanelSource nibble_source() {
  PanelSource source = neighbours(PanelFormat::kBit4);
  source.byte_step = 1;
  source.units[0].field_step = 4;
  source.offset = 8;
  return source;
}

PanelShape panel_shape(const PanelSource& source, int64_t rows, int64_t cols, int64_t group,
                       int64_t panel_rows) {
  const auto units = [&](int64_t columns) {
    return divide_up(columns, source.block_columns) * source.block_units;
  };
  PanelShape shape;
  shape.groups = divide_up(cols, group);
  shape.units = units(group);
  shape.last_units = units(cols - (shape.groups - 1) * group);
  shape.panels = divide_up(rows, panel_rows);
  shape.panel_bytes = shape.row_units() * kUnitBytes * panel_rows;
  return shape;
}

void pack_panels(const PanelSource& source, const PanelRows& rows, int64_t panel_rows,
                 int64_t first, int64_t count, uint8_t* out) {
  const PanelShape shape = panel_shape(source, rows.rows, rows.cols, rows.group, panel_rows);
  for (int64_t panel = 0; panel < count; ++panel) {
    for (int64_t i = 0; i < panel_rows; ++i) {
      const int64_t row = (first + panel) * panel_rows + i;
      if (row >= rows.rows) break;
      pack_row(source, rows.data.data() + row * rows.row_stride, rows, kUnitBytes * panel_rows,
               out + panel * shape.panel_bytes + i * kUnitBytes);
    }
  }
}

void arrange_tile(const PanelSource& source, const int8_t* q, int64_t tokens, int64_t cols,
                  int64_t group, int tile, int8_t* out, int32_t* sums) {
  const int64_t unit_bytes = kUnitBytes * fields_of(source.format) * tile;
  for (int64_t column = 0; column < cols; column += group, sums += tile) {
    const int64_t columns = std::min(group, cols - column);
    const int64_t blocks = divide_up(columns, source.block_columns);
    const int64_t bytes = blocks * source.block_units * unit_bytes;
    if (tokens < tile) std::memset(out, 0, static_cast<size_t>(bytes));
    std::fill(sums, sums + tile, 0);
    for (int64_t t = 0; t < tokens; ++t) {
      const std::span part(q + t * cols + column, static_cast<size_t>(columns));
      for (const int8_t value : part) sums[t] += value;
      int8_t* to = out + t * kUnitBytes;
      for (int64_t block = 0; block < columns; block += source.block_columns) {
        for (int i = 0; i < source.block_units; ++i, to += unit_bytes) {
          arrange_unit(source, source.units[static_cast<size_t>(i)], part, block, tile, to);
        }
      }
    }
    out += bytes;
  }
}

}  // namespace tercet
