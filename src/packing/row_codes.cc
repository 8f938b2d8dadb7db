// SPDX-License-Identifier: Apache-2.0
#include "packing/row_codes.h"

#include <algorithm>

#include "packing/block_codes.h"
#include "packing/own_codes.h"
#include "packing/quant_blocks.h"

namespace tercet::packing {
namespace {

constexpr int kWideI2S = 32;    // bytes of an i2_s block
constexpr int kNarrowI2S = 16;  // of the ARM order

bool unpack_block(Layout layout, const uint8_t* block, int8_t* codes) {
  switch (layout) {
    case Layout::kTq1_0:
      return unpack_tq1_0(block, codes);
    case Layout::kTq2_0:
      return unpack_tq2_0(block, codes);
    case Layout::kI2S:
      return unpack_i2_s(block, kWideI2S, codes);
    case Layout::kI2S64:
      return unpack_i2_s(block, kNarrowI2S, codes);
    case Layout::kQ1_0:
      unpack_signs(block + 2, 128, codes);
      return true;
    case Layout::kQ2_0:
      return unpack_pairs(block + 2, 64, codes);
    case Layout::kQ2_0G128:
      return unpack_pairs(block + 2, 128, codes);
    default:
      return false;
  }
}

bool pack_block(Layout layout, const int8_t* codes, uint8_t* block) {
  switch (layout) {
    case Layout::kTq1_0:
      pack_tq1_0(codes, block);
      return true;
    case Layout::kTq2_0:
      pack_tq2_0(codes, block);
      return true;
    case Layout::kI2S:
      pack_i2_s(codes, kWideI2S, block);
      return true;
    case Layout::kI2S64:
      pack_i2_s(codes, kNarrowI2S, block);
      return true;
    case Layout::kQ1_0:
      return pack_signs(codes, 128, block + 2);
    case Layout::kQ2_0:
      pack_pairs(codes, 64, block + 2);
      return true;
    case Layout::kQ2_0G128:
      pack_pairs(codes, 128, block + 2);
      return true;
    default:
      return false;
  }
}

// Where a block keeps its scale: llama.cpp's ternary types behind the codes, the others before.
int64_t scale_offset(Layout layout) {
  const bool behind = layout == Layout::kTq1_0 || layout == Layout::kTq2_0;
  return behind ? block_bytes(layout) - 2 : 0;
}

// Calls visit(bytes of the group, its first code, its length) for every group of a row.
template <class Visit>
void for_each_group(Layout layout, int64_t cols, int64_t group, Visit visit) {
  int64_t byte = 0;
  for (int64_t column = 0; column < cols; column += group) {
    const int64_t count = std::min(group, cols - column);
    visit(byte, column, count);
    byte += row_bytes(layout, count, count);
  }
}

// Codes [first, first + codes.size()) of one group; `first` need not start on a byte.
void unpack_inside_group(Layout layout, const uint8_t* bytes, int64_t first,
                         std::span<int8_t> codes) {
  const int64_t places = codes_per_byte(layout);
  bytes += first / places;
  const int64_t skipped = first % places;
  if (skipped != 0) {
    int8_t head[8];
    unpack_group(layout, bytes++, std::span(head, static_cast<size_t>(places)));
    const size_t used = std::min(codes.size(), static_cast<size_t>(places - skipped));
    std::copy_n(head + skipped, used, codes.begin());
    codes = codes.subspan(used);
  }
  unpack_group(layout, bytes, codes);
}

}  // namespace

int64_t block_codes(Layout layout) {
  switch (layout) {
    case Layout::kTq1_0:
    case Layout::kTq2_0:
      return 256;
    case Layout::kI2S:
    case Layout::kQ1_0:
    case Layout::kQ2_0G128:
      return 128;
    case Layout::kI2S64:
    case Layout::kQ2_0:
      return 64;
    case Layout::kTrit4:
    case Layout::kTrit5:
    case Layout::kSign8:
      return 1;
  }
  return 1;
}

int64_t block_bytes(Layout layout) {
  switch (layout) {
    case Layout::kTq1_0:
      return block_shape(BlockType::kTq1_0).bytes;
    case Layout::kTq2_0:
      return block_shape(BlockType::kTq2_0).bytes;
    case Layout::kI2S:
      return kWideI2S;
    case Layout::kI2S64:
      return kNarrowI2S;
    case Layout::kQ1_0:
      return block_shape(BlockType::kQ1_0).bytes;
    case Layout::kQ2_0:
      return block_shape(BlockType::kQ2_0).bytes;
    case Layout::kQ2_0G128:
      return block_shape(BlockType::kQ2_0G128).bytes;
    case Layout::kTrit4:
    case Layout::kTrit5:
    case Layout::kSign8:
      return 0;
  }
  return 0;
}

bool has_block_scales(Layout layout) {
  return !is_own_layout(layout) && layout != Layout::kI2S && layout != Layout::kI2S64;
}

uint16_t block_scale(Layout layout, const uint8_t* block) {
  const uint8_t* at = block + scale_offset(layout);
  return static_cast<uint16_t>(at[0] | (at[1] << 8));
}

int64_t stored_row_bytes(Layout layout, int64_t cols, int64_t group) {
  if (is_own_layout(layout)) return row_bytes(layout, cols, group);
  return cols / block_codes(layout) * block_bytes(layout);
}

bool unpack_row(Layout layout, const uint8_t* row, int64_t group, std::span<int8_t> codes) {
  const int64_t cols = static_cast<int64_t>(codes.size());
  bool valid = true;
  if (is_own_layout(layout)) {
    for_each_group(layout, cols, group, [&](int64_t byte, int64_t first, int64_t count) {
      valid = group_is_valid(layout, row + byte, count) && valid;
      unpack_group(layout, row + byte,
                   codes.subspan(static_cast<size_t>(first), static_cast<size_t>(count)));
    });
    return valid;
  }
  const int64_t step = block_codes(layout);
  const int64_t bytes = block_bytes(layout);
  for (int64_t column = 0; column < cols; column += step, row += bytes) {
    valid = unpack_block(layout, row, codes.data() + column) && valid;
  }
  return valid;
}

bool pack_row(Layout layout, std::span<const int8_t> codes, int64_t group,
              std::span<const uint16_t> block_scales, uint8_t* row) {
  const int64_t cols = static_cast<int64_t>(codes.size());
  bool fits = true;
  if (is_own_layout(layout)) {
    for_each_group(layout, cols, group, [&](int64_t byte, int64_t first, int64_t count) {
      const auto part = codes.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
      pack_group(layout, part, row + byte);
      fits = fits && can_hold(layout, part);
    });
    return fits;
  }
  const int64_t step = block_codes(layout);
  const int64_t bytes = block_bytes(layout);
  for (int64_t column = 0; column < cols; column += step, row += bytes) {
    fits = pack_block(layout, codes.data() + column, row) && fits;
    if (!has_block_scales(layout)) continue;
    const uint16_t scale = block_scales[static_cast<size_t>(column / step)];
    row[scale_offset(layout)] = static_cast<uint8_t>(scale & 0xFF);
    row[scale_offset(layout) + 1] = static_cast<uint8_t>(scale >> 8);
  }
  return fits;
}

bool pairs_are_codes(std::span<const uint8_t> bytes) {
  return bytes_are_sound(Layout::kTrit4, bytes);
}

void unpack_columns(Layout layout, const uint8_t* row, int64_t cols, int64_t group, int64_t first,
                    std::span<int8_t> codes) {
  if (!is_own_layout(layout)) {
    const int64_t blocks = first / block_codes(layout);
    unpack_row(layout, row + blocks * block_bytes(layout), group, codes);
    return;
  }
  const int64_t group_bytes = row_bytes(layout, group, group);
  while (!codes.empty()) {
    const int64_t index = first / group;
    const int64_t inside = first - index * group;
    const int64_t length = std::min(group, cols - index * group);
    const size_t count = std::min(codes.size(), static_cast<size_t>(length - inside));
    unpack_inside_group(layout, row + index * group_bytes, inside, codes.first(count));
    codes = codes.subspan(count);
    first += static_cast<int64_t>(count);
  }
}

}  // namespace tercet::packing
