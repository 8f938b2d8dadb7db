// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace tercet::packing {

// The block types of GGUF files that hold weights of a few bits with scales among them; each is
// specified in docs/formats/gguf.md.
enum class BlockType : uint8_t {
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIq4Nl,
  kTq1_0,
  kTq2_0,
  kQ1_0,
  kQ2_0,      // groups of 64, as mainline llama.cpp has it
  kQ2_0G128,  // groups of 128, as PrismML's fork has it under the same type id
};

// `elements` neighbouring weights of a row take `bytes` bytes.
struct BlockShape {
  int64_t elements;
  int64_t bytes;
};

constexpr BlockShape block_shape(BlockType type) {
  switch (type) {
    case BlockType::kQ4_0:
    case BlockType::kIq4Nl:
      return {32, 2 + 16};
    case BlockType::kQ4_1:
      return {32, 2 + 2 + 16};
    case BlockType::kQ5_0:
      return {32, 2 + 4 + 16};
    case BlockType::kQ5_1:
      return {32, 2 + 2 + 4 + 16};
    case BlockType::kQ8_0:
      return {32, 2 + 32};
    case BlockType::kQ2_K:
      return {256, 16 + 64 + 2 + 2};
    case BlockType::kQ3_K:
      return {256, 32 + 64 + 12 + 2};
    case BlockType::kQ4_K:
      return {256, 2 + 2 + 12 + 128};
    case BlockType::kQ5_K:
      return {256, 2 + 2 + 12 + 32 + 128};
    case BlockType::kQ6_K:
      return {256, 128 + 64 + 16 + 2};
    case BlockType::kTq1_0:
      return {256, 48 + 4 + 2};
    case BlockType::kTq2_0:
      return {256, 64 + 2};
    case BlockType::kQ1_0:
      return {128, 2 + 16};
    case BlockType::kQ2_0:
      return {64, 2 + 16};
    case BlockType::kQ2_0G128:
      return {128, 2 + 32};
  }
  return {1, 0};
}

// The weights of consecutive blocks as f32, with the roundings that the formats' definitions have.
// blocks: elements / block elements blocks; out: [elements]; `elements` a multiple of the block's.
// Every byte pattern stands for some weights (NaN and infinite scales included), so nothing is
// refused and nothing is read beyond the blocks.
void decode_blocks(BlockType type, const uint8_t* blocks, int64_t elements, float* out);

// Weights as q6_k blocks: each group of 16 with the scale that fits it in the sense of least
// squares, rounded to steps of the block's. `elements`: a multiple of 256. False where a weight is
// not finite or too large for the format; what `blocks` holds is then of no use.
bool encode_q6_k(const float* weights, int64_t elements, uint8_t* blocks);

}  // namespace tercet::packing
