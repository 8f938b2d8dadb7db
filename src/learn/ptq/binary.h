// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/ptq/low_bit_matrix.h"
#include "learn/ptq/moments.h"

namespace tercet::learn {

// ARB-LLM (methods.md 11), W ~ alpha B + mu with B in {-1, 1}, per row of one block: alternating
// refinement of mu, alpha and B, 15 times, under h (ARB-X) or without (h undefined).
LowBitMatrix alternating_binary(const at::Tensor& weight, const at::Tensor& h);

// The same block by block with feedback between blocks. Throws kUsage for one scale per tensor.
LowBitMatrix arb(const LayerTarget& target, const Grouping& grouping);

// OneBit's start (methods.md 7.1): sign(W) times the best rank-1 approximation of |W|, found by
// power iteration. One scale per row and one per column.
LowBitMatrix svid(const at::Tensor& weight);

}  // namespace tercet::learn
