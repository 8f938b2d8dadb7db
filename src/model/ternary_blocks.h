// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/stored_type.h"

namespace tercet {

// Columns that one of llama.cpp's ternary blocks covers.
inline constexpr int64_t kTernaryBlock = 256;

// Bytes of one block of `type` (tq1_0 or tq2_0), its f16 scale at the end included.
int64_t ternary_block_bytes(StoredType type);

// The scales of all blocks, in order; a single value when all are equal. Reads only the two bytes a
// block keeps its scale in. Throws kBadInput naming `origin` when one is not finite.
std::vector<float> ternary_block_scales(StoredType type, std::span<const uint8_t> blocks,
                                        const std::string& origin);

}  // namespace tercet
