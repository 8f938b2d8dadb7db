// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "packing/ternary.h"

namespace tercet::packing {

// The bytes of trit5, trit4 and sign8: how one group of codes lies in them
// (docs/formats/low_bit.md).

// Codes in a byte of `layout`: 5, 4 or 8.
int64_t codes_per_byte(Layout layout);

// Bytes that a row of `cols` codes takes when each group of `group` starts on a byte; both > 0.
int64_t row_bytes(Layout layout, int64_t cols, int64_t group);

// codes: one group, each -1, 0 or 1; bytes: ceil(codes.size() / codes_per_byte). Unused places of
// the last byte are written as code 0, those of sign8 as -1.
// Codes that the layout lacks are written as some other one.
void pack_group(Layout layout, std::span<const int8_t> codes, uint8_t* bytes);

// The inverse, for bytes that group_is_valid() accepts.
void unpack_group(Layout layout, const uint8_t* bytes, std::span<int8_t> codes);

// Whether the layout has all of the codes: sign8 has no zero.
bool can_hold(Layout layout, std::span<const int8_t> codes);

// Whether every byte stands for codes, wherever groups begin; trit4 bytes are pairs of bits as
// those of i2_s are.
bool bytes_are_sound(Layout layout, std::span<const uint8_t> bytes);

// Whether the bytes of a group of `count` codes are ones that pack_group() writes.
bool group_is_valid(Layout layout, const uint8_t* bytes, int64_t count);

}  // namespace tercet::packing
