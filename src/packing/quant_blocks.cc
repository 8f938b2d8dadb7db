// SPDX-License-Identifier: Apache-2.0
#include "packing/quant_blocks.h"

#include <array>
#include <cstddef>

#include "packing/block_decoders.h"

namespace tercet::packing {
namespace {

constexpr int kBlock = 32;
constexpr int kHalf = kBlock / 2;  // byte i of the nibbles holds weights i and i + 16

template <void (*kDecode)(const uint8_t*, float*)>
void decode_all(BlockShape shape, const uint8_t* blocks, int64_t elements, float* out) {
  for (int64_t done = 0; done < elements; done += shape.elements) {
    kDecode(blocks, out);
    blocks += shape.bytes;
    out += shape.elements;
  }
}

// The five-bit numbers of q5_0 and q5_1: nibbles, and their fifth bits in the 32 bits before them.
void unpack_five_bits(const uint8_t* high, const uint8_t* nibbles, int32_t* out) {
  const uint32_t bits = static_cast<uint32_t>(high[0]) | static_cast<uint32_t>(high[1]) << 8 |
                        static_cast<uint32_t>(high[2]) << 16 | static_cast<uint32_t>(high[3]) << 24;
  for (int i = 0; i < kHalf; ++i) {
    out[i] = static_cast<int32_t>((nibbles[i] & 15u) | ((bits >> i) & 1u) << 4);
    out[i + kHalf] = static_cast<int32_t>((nibbles[i] >> 4) | ((bits >> (i + kHalf)) & 1u) << 4);
  }
}

// The values that the sixteen codes of iq4_nl stand for.
constexpr std::array<float, 16> kIq4NlValues = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace

void decode_q4_0(const uint8_t* block, float* out) {
  const float scale = load_f16(block);
  const uint8_t* nibbles = block + 2;
  for (int i = 0; i < kHalf; ++i) {
    out[i] = scale * static_cast<float>((nibbles[i] & 15) - 8);
    out[i + kHalf] = scale * static_cast<float>((nibbles[i] >> 4) - 8);
  }
}

void decode_q4_1(const uint8_t* block, float* out) {
  const float scale = load_f16(block);
  const float offset = load_f16(block + 2);
  const uint8_t* nibbles = block + 4;
  for (int i = 0; i < kHalf; ++i) {
    out[i] = scale * static_cast<float>(nibbles[i] & 15) + offset;
    out[i + kHalf] = scale * static_cast<float>(nibbles[i] >> 4) + offset;
  }
}

void decode_q5_0(const uint8_t* block, float* out) {
  std::array<int32_t, kBlock> codes;
  unpack_five_bits(block + 2, block + 6, codes.data());
  const float scale = load_f16(block);
  for (size_t i = 0; i < codes.size(); ++i) out[i] = scale * static_cast<float>(codes[i] - 16);
}

void decode_q5_1(const uint8_t* block, float* out) {
  std::array<int32_t, kBlock> codes;
  unpack_five_bits(block + 4, block + 8, codes.data());
  const float scale = load_f16(block);
  const float offset = load_f16(block + 2);
  for (size_t i = 0; i < codes.size(); ++i) {
    out[i] = scale * static_cast<float>(codes[i]) + offset;
  }
}

void decode_q8_0(const uint8_t* block, float* out) {
  const float scale = load_f16(block);
  for (int i = 0; i < kBlock; ++i) {
    out[i] = scale * static_cast<float>(static_cast<int8_t>(block[2 + i]));
  }
}

void decode_iq4_nl(const uint8_t* block, float* out) {
  const float scale = load_f16(block);
  const uint8_t* nibbles = block + 2;
  for (int i = 0; i < kHalf; ++i) {
    out[i] = scale * kIq4NlValues[nibbles[i] & 15u];
    out[i + kHalf] = scale * kIq4NlValues[nibbles[i] >> 4];
  }
}

void decode_blocks(BlockType type, const uint8_t* blocks, int64_t elements, float* out) {
  const BlockShape shape = block_shape(type);
  switch (type) {
    case BlockType::kQ4_0:
      return decode_all<decode_q4_0>(shape, blocks, elements, out);
    case BlockType::kQ4_1:
      return decode_all<decode_q4_1>(shape, blocks, elements, out);
    case BlockType::kQ5_0:
      return decode_all<decode_q5_0>(shape, blocks, elements, out);
    case BlockType::kQ5_1:
      return decode_all<decode_q5_1>(shape, blocks, elements, out);
    case BlockType::kQ8_0:
      return decode_all<decode_q8_0>(shape, blocks, elements, out);
    case BlockType::kQ2_K:
      return decode_all<decode_q2_k>(shape, blocks, elements, out);
    case BlockType::kQ3_K:
      return decode_all<decode_q3_k>(shape, blocks, elements, out);
    case BlockType::kQ4_K:
      return decode_all<decode_q4_k>(shape, blocks, elements, out);
    case BlockType::kQ5_K:
      return decode_all<decode_q5_k>(shape, blocks, elements, out);
    case BlockType::kQ6_K:
      return decode_all<decode_q6_k>(shape, blocks, elements, out);
    case BlockType::kIq4Nl:
      return decode_all<decode_iq4_nl>(shape, blocks, elements, out);
    case BlockType::kTq1_0:
      return decode_all<decode_tq1_0>(shape, blocks, elements, out);
    case BlockType::kTq2_0:
      return decode_all<decode_tq2_0>(shape, blocks, elements, out);
    case BlockType::kQ1_0:
      return decode_all<decode_q1_0>(shape, blocks, elements, out);
    case BlockType::kQ2_0:
      return decode_all<decode_q2_0>(shape, blocks, elements, out);
    case BlockType::kQ2_0G128:
      return decode_all<decode_q2_0_g128>(shape, blocks, elements, out);
  }
}

}  // namespace tercet::packing
