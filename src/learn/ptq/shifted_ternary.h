// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/ptq/low_bit_matrix.h"
#include "learn/ptq/moments.h"

namespace tercet::learn {

// PT2-LLM (methods.md 9): ternary with a shift, W ~ alpha T + mu, per row of one block.

// ITF, iterative ternary fitting. Start: mu the row mean, threshold 0.75 mean |W - mu|; then the
// least-squares alpha and mu for T and the nearest T for them in turn, until T stays or `rounds`
// are over. weight: [rows, n].
LowBitMatrix iterative_ternary_fit(const at::Tensor& weight, int rounds = 30);

// AGA, activation-aware grid alignment: alpha and mu that minimise (W - alpha T - mu 1) h (...)'
// per row, T as it is. h: [n, n].
void align_grid(LowBitMatrix& matrix, const at::Tensor& weight, const at::Tensor& h);

// The whole method: ITF and AGA block by block, similar columns together, feedback between blocks.
// Throws kUsage for one scale per tensor.
LowBitMatrix pt2_llm(const LayerTarget& target, const Grouping& grouping);

}  // namespace tercet::learn
