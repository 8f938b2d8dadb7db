// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "model/packed_model.h"

namespace tercet {

// What one token costs at the least, attention aside.
struct TokenCost {
  // Bytes that must be read: every matrix and vector of the layers once, in the form in which they
  // are run, scales included, and the head (of one in two planes the upper one). Not the embedding,
  // of which a token reads one row.
  uint64_t weight_bytes = 0;
  // Multiply-adds of int8 in ternary products.
  int64_t int8_macs = 0;
  // The part of weight_bytes that the head takes.
  uint64_t head_bytes = 0;
};

TokenCost token_cost(const PackedModel& packed);

}  // namespace tercet
