// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "packing/ternary.h"

namespace tercet::packing {

// Ternary codes row by row in any layout, for what reads or writes a matrix without holding it.

// Codes that a block of the layout holds; a row must be whole blocks. 1 for trit4 and trit5.
int64_t block_codes(Layout layout);
// Bytes of such a block, its scale included; 0 for trit4 and trit5.
int64_t block_bytes(Layout layout);
// Whether each block holds an f16 scale: tq1_0, tq2_0, q1_0 and q2_0.
bool has_block_scales(Layout layout);
// The bits of that f16.
uint16_t block_scale(Layout layout, const uint8_t* block);

// Bytes of a row of `cols` codes; `group` is the columns per scale, which only trit4 and trit5 look
// at.
int64_t stored_row_bytes(Layout layout, int64_t cols, int64_t group);

// The codes of one row; false when its bytes stand for no ternary codes. The codes are then
// undefined.
bool unpack_row(Layout layout, const uint8_t* row, int64_t group, std::span<int8_t> codes);

// The inverse. block_scales: f16 bits, one per block where the layout has them, else empty. False
// when the layout cannot hold the codes (q1_0 and sign8 have no zero).
bool pack_row(Layout layout, std::span<const int8_t> codes, int64_t group,
              std::span<const uint16_t> block_scales, uint8_t* row);

// Whether no two bits of `bytes` form the pair 3: what i2_s codes must be.
bool pairs_are_codes(std::span<const uint8_t> bytes);

// Columns [first, first + codes.size()) of a row, `first` a multiple of the layout's block. Bytes
// that stand for no codes give some number from -1 to 2.
void unpack_columns(Layout layout, const uint8_t* row, int64_t cols, int64_t group, int64_t first,
                    std::span<int8_t> codes);

}  // namespace tercet::packing
