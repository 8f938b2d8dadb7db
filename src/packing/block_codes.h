// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace tercet::packing {

// One block of codes at a time, scales left alone. The unpackers return false when a byte stands
// for no ternary codes; what they then leave are numbers from -1 to 2. The checks tell the same
// without unpacking.

// 256 codes in 52 bytes and 64 bytes; the f16 scale follows them.
void pack_tq1_0(const int8_t* codes, uint8_t* block);
void pack_tq2_0(const int8_t* codes, uint8_t* block);
bool unpack_tq1_0(const uint8_t* block, int8_t* codes);
bool unpack_tq2_0(const uint8_t* block, int8_t* codes);
bool tq1_0_is_valid(const uint8_t* block);
bool tq2_0_is_valid(const uint8_t* block);

// 4 * width codes in `width` bytes (32 or 16) without scale: byte m holds codes m, m + width,
// m + 2 width and m + 3 width, the first in the highest bits.
void pack_i2_s(const int8_t* codes, int width, uint8_t* block);
bool unpack_i2_s(const uint8_t* block, int width, int8_t* codes);

// 4 codes a byte in storage order, the first lowest: the code bytes of q2_0.
void pack_pairs(const int8_t* codes, int count, uint8_t* bytes);
bool unpack_pairs(const uint8_t* bytes, int count, int8_t* codes);

// 8 codes a byte, 1 or -1, the first lowest: the code bytes of q1_0. Packing is false for a zero.
bool pack_signs(const int8_t* codes, int count, uint8_t* bytes);
void unpack_signs(const uint8_t* bytes, int count, int8_t* codes);

}  // namespace tercet::packing
