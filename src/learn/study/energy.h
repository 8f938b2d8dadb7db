// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "formats/model_config.h"

namespace tercet::learn {

// The operation model of the BitNet papers: the energy of the additions and multiplications of
// matrix products alone, nothing for memory or control. 45 nm: Horowitz, ISSCC 2014; 7 nm: Zhang et
// al., PokeBNN, 2022.
enum class ProcessNode { k45nm, k7nm };
enum class Arithmetic { kFp32, kFp16, kInt8 };

struct OperationCost {
  double add = 0;  // picojoules
  double multiply = 0;
};
OperationCost operation_cost(ProcessNode node, Arithmetic arithmetic);

struct Energy {
  double add = 0;  // joules
  double multiply = 0;
  double total() const { return add + multiply; }
};
Energy operator+(const Energy& a, const Energy& b);

// [m, n] times [n, p]: m (n - 1) p additions and m n p multiplications.
Energy product_energy(ProcessNode node, Arithmetic arithmetic, int64_t m, int64_t n, int64_t p);

// The same with weights [n, p] of one bit or three values and int8 inputs: additions in int8, and
// m p + m n multiplications in fp16 by the scales of outputs and inputs.
Energy low_bit_product_energy(ProcessNode node, int64_t m, int64_t n, int64_t p);

// One pass over `tokens` tokens: the linear maps of all layers, in `dense` arithmetic or as low-bit
// products where the configuration has such, and the two products of attention (not masked:
// tokens^2 scores a head) in `dense`. Embedding and output head are not counted, as in the paper's
// Table 1.
Energy inference_energy(ProcessNode node, const ModelConfig& config, Arithmetic dense,
                        int64_t tokens);

// The output head over as many tokens, which is the same for all kinds of linear maps.
Energy head_energy(ProcessNode node, const ModelConfig& config, Arithmetic dense, int64_t tokens);

}  // namespace tercet::learn
