// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace tercet {

// In what keys and values are kept. int8 has an f32 scale for each head and position.
enum class KvType : uint8_t { kF32, kF16, kBF16, kInt8 };
inline constexpr int kKvTypes = 4;

// Keys and values of a head are kept in segments of so many positions. A position's result within
// its segment does not depend on which other positions are asked for in the same call.
inline constexpr int64_t kSegmentPositions = 256;
// Keys lie in blocks of positions, [blocks][head_dim][kKeyBlock], so that one register holds an
// element of neighbouring positions; values lie [positions][value_stride].
inline constexpr int64_t kKeyBlock = 32;
constexpr int64_t value_stride(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

// The softmax of some queries before it is divided by the sum of its weights, relative to the
// largest score, so that those of several segments can be merged.
struct AttentionState {
  float* maximum = nullptr;  // [queries]
  float* sum = nullptr;      // [queries]; 0 for a query that saw no position
  float* out = nullptr;      // [queries][value_stride]
};

// Queries of one or more heads that share a key-value head, against one segment of it.
struct AttentionCall {
  const void* keys = nullptr;
  const void* values = nullptr;
  const float* key_scales = nullptr;    // [kSegmentPositions], of int8 only
  const float* value_scales = nullptr;  // [kSegmentPositions], of int8 only
  int64_t head_dim = 0;
  int64_t query_count = 0;
  const float* queries = nullptr;  // [head_dim][query_count], times the scale of the scores
  // Query i sees the positions [first[i], last[i]) of the segment; none when they are equal.
  const int32_t* first = nullptr;  // [query_count]
  const int32_t* last = nullptr;   // [query_count]
  float* weights = nullptr;        // scratch, [query_count][kSegmentPositions]
  AttentionState state;            // written anew
};

}  // namespace tercet
