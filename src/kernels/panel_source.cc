// SPDX-License-Identifier: Apache-2.0
#include "kernels/panel_source.h"

#include <algorithm>
#include <cstring>
#include <numeric>

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

// Four activations kStep columns apart, as one word.
template <int kStep>
uint32_t four_of(const int8_t* from) {
  if constexpr (kStep == 1) {
    uint32_t word;
    std::memcpy(&word, from, sizeof(word));
    return word;
  }
  const auto byte = [&](int i) { return uint32_t{static_cast<uint8_t>(from[i * kStep])}; };
  return byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
}

// One unit some of whose columns are not there.
void arrange_ragged(const PanelSource& source, const PanelSource::Unit& unit,
                    std::span<const int8_t> block, int tile, int8_t* out) {
  const int fields = fields_of(source.format);
  for (int field = 0; field < fields; ++field, out += kUnitBytes * tile) {
    for (int64_t byte = 0; byte < kUnitBytes; ++byte) {
      const int64_t column = unit.column + field * unit.field_step + byte * source.byte_step;
      out[byte] = column < std::ssize(block) ? block[static_cast<size_t>(column)] : int8_t{0};
    }
  }
}

// Whether places stand for columns that the block does not have: the fifth codes of tq1_0's tail.
bool has_idle_places(const PanelSource& source, const PanelSource::Unit& unit) {
  const int fields = fields_of(source.format);
  return unit.column + (fields - 1) * unit.field_step + 3 * source.byte_step >=
         source.block_columns;
}

// A group of one token; words are `tile` apart. Steps are known to the compiler, since this is the
// part of a product that every token pays alone.
template <int kStep, int kFields>
void arrange_steps(const PanelSource& source, std::span<const int8_t> group, int tile,
                   int8_t* out) {
  const int64_t columns = std::ssize(group);
  const int64_t width = source.block_columns;
  const int64_t unit_bytes = kUnitBytes * kFields * tile;
  for (int64_t begin = 0; begin < columns; begin += width) {
    const bool is_whole = begin + width <= columns;
    for (int i = 0; i < source.block_units; ++i, out += unit_bytes) {
      const PanelSource::Unit& unit = source.units[static_cast<size_t>(i)];
      if (!is_whole || has_idle_places(source, unit)) {
        const auto left = static_cast<size_t>(std::min(width, columns - begin));
        arrange_ragged(source, unit, group.subspan(static_cast<size_t>(begin), left), tile, out);
        continue;
      }
      const int8_t* from = group.data() + begin + unit.column;
      for (int field = 0; field < kFields; ++field, from += unit.field_step) {
        const uint32_t word = four_of<kStep>(from);
        std::memcpy(out + field * kUnitBytes * tile, &word, sizeof(word));
      }
    }
  }
}

// Codes of a byte are neighbours, or those of neighbouring bytes are.
template <int kFields>
void arrange_group(const PanelSource& source, std::span<const int8_t> group, int tile,
                   int8_t* out) {
  if (source.byte_step == 1) return arrange_steps<1, kFields>(source, group, tile, out);
  arrange_steps<kFields, kFields>(source, group, tile, out);
}

void arrange_group(const PanelSource& source, std::span<const int8_t> group, int tile,
                   int8_t* out) {
  switch (source.format) {
    case PanelFormat::kBit1:
      return arrange_group<8>(source, group, tile, out);
    case PanelFormat::kBit2:
      return arrange_group<4>(source, group, tile, out);
    case PanelFormat::kTrit5:
      return arrange_group<5>(source, group, tile, out);
    case PanelFormat::kBit4:
      return arrange_group<2>(source, group, tile, out);
  }
}

// Where the codes of a byte are neighbours, four tokens at once are a transposition of words.
constexpr int64_t kTokensAtOnce = 4;

using Bytes = int8_t __attribute__((vector_size(16)));
using Pairs = int16_t __attribute__((vector_size(16)));
using Words = int32_t __attribute__((vector_size(16)));

Bytes load(const int8_t* from) {
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof(bytes));
  return bytes;
}

// A byte of the first half, one of the second, and so on. In two steps, which compilers know.
Bytes zip(Bytes v) {
  const Bytes second =
      __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
  return __builtin_shufflevector(v, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

// The words of one unit of a token, in the order of its fields.
template <int kFields>
std::array<Words, kFields / 4> words_of(const int8_t* from) {
  if constexpr (kFields == 4) {
    return {reinterpret_cast<Words>(zip(zip(load(from))))};
  } else {
    const auto first = reinterpret_cast<Pairs>(zip(load(from)));
    const auto second = reinterpret_cast<Pairs>(zip(load(from + 16)));
    return {
        reinterpret_cast<Words>(__builtin_shufflevector(first, second, 0, 8, 1, 9, 2, 10, 3, 11)),
        reinterpret_cast<Words>(
            __builtin_shufflevector(first, second, 4, 12, 5, 13, 6, 14, 7, 15))};
  }
}

// Stores four fields of four tokens: w[token][field] goes to field * stride + token.
void store_transposed(const std::array<Words, 4>& w, int64_t stride, int8_t* out) {
  const Words low01 = __builtin_shufflevector(w[0], w[1], 0, 4, 1, 5);
  const Words low23 = __builtin_shufflevector(w[2], w[3], 0, 4, 1, 5);
  const Words high01 = __builtin_shufflevector(w[0], w[1], 2, 6, 3, 7);
  const Words high23 = __builtin_shufflevector(w[2], w[3], 2, 6, 3, 7);
  const std::array<Words, 4> fields = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                                       __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                                       __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                                       __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
  for (const Words& field : fields) {
    std::memcpy(out, &field, sizeof(field));
    out += stride;
  }
}

// `units` units of four tokens, `cols` apart.
template <int kFields>
void arrange_four(const int8_t* q, int64_t cols, int64_t units, int tile, int8_t* out) {
  const int64_t stride = kUnitBytes * tile;
  for (int64_t unit = 0; unit < units; ++unit, q += 4 * kFields) {
    std::array<std::array<Words, kFields / 4>, kTokensAtOnce> words;
    for (int64_t t = 0; t < kTokensAtOnce; ++t) {
      words[static_cast<size_t>(t)] = words_of<kFields>(q + t * cols);
    }
    for (size_t k = 0; k < kFields / 4; ++k, out += 4 * stride) {
      store_transposed({words[0][k], words[1][k], words[2][k], words[3][k]}, stride, out);
    }
  }
}

// The first of a group's tokens and columns, as many as fit: returns how many of each.
struct Arranged {
  int64_t tokens = 0;
  int64_t columns = 0;
};
Arranged arrange_neighbours(const PanelSource& source, const int8_t* q, int64_t tokens,
                            int64_t cols, int64_t columns, int tile, int8_t* out) {
  const int fields = fields_of(source.format);
  const bool follow = source.byte_step == fields && source.units[0].field_step == 1;
  if (!follow || (fields != 4 && fields != 8)) return {};
  const int64_t blocks = columns / source.block_columns;
  const int64_t units = blocks * source.block_units;
  Arranged done{0, blocks * source.block_columns};
  for (; done.tokens + kTokensAtOnce <= tokens; done.tokens += kTokensAtOnce) {
    const int8_t* from = q + done.tokens * cols;
    int8_t* to = out + done.tokens * kUnitBytes;
    fields == 4 ? arrange_four<4>(from, cols, units, tile, to)
                : arrange_four<8>(from, cols, units, tile, to);
  }
  return done;
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
    std::fill(sums + tokens, sums + tile, 0);
    const Arranged done = arrange_neighbours(source, q + column, tokens, cols, columns, tile, out);
    const int64_t done_bytes =
        done.columns / source.block_columns * source.block_units * unit_bytes;
    for (int64_t t = 0; t < tokens; ++t) {
      const std::span part(q + t * cols + column, static_cast<size_t>(columns));
      sums[t] = std::accumulate(part.begin(), part.end(), int32_t{0});
      const bool begun = t < done.tokens;
      arrange_group(source, part.subspan(static_cast<size_t>(begun ? done.columns : 0)), tile,
                    out + t * kUnitBytes + (begun ? done_bytes : 0));
    }
    out += bytes;
  }
}

}  // namespace tercet
