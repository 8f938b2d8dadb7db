// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "formats/model_config.h"
#include "learn/ptq/options.h"

namespace tercet::learn {

// The memory of a run at its widest, without activations that wait and without the program itself.
struct BlockMemory {
  uint64_t bytes = 0;
  std::string where;  // the work that takes it
};

// One block: weights on both sides, second moments, what the solver or the training holds beside
// them, and the activations of a window of `longest` tokens. Settled options.
BlockMemory block_memory(const ModelConfig& config, const PtqOptions& options, int64_t longest);

// Of that, training alone.
uint64_t block_training_bytes(const ModelConfig& config, const PtqOptions& options,
                              int64_t longest);

// What this process has in memory now: libraries, tokenizer, text.
uint64_t resident_bytes();

}  // namespace tercet::learn
