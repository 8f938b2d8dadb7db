// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "formats/model_config.h"
#include "learn/ptq/options.h"

namespace tercet::learn {

// Operations of a forward pass of one block over windows of these lengths.
double block_flops(const ModelConfig& config, const std::vector<int64_t>& rows);

// Operations of all training of blocks, and of the last pass over the model. Settled options.
double training_flops(const ModelConfig& config, const BlockTrainingOptions& training,
                      const std::vector<int64_t>& rows);
double tuning_flops(const ModelConfig& config, const EndToEndOptions& tuning,
                    const std::vector<int64_t>& rows);

// Bytes of the passes that hold a whole model: training towards predictions and the last pass.
uint64_t whole_model_bytes(const ModelConfig& config, const PtqOptions& options, int64_t longest);

// How much text is calibrated on where that is open: 65,536 tokens; more, as far as it can be
// carried through the model in some ten minutes, where it trains.
void settle_text(const ModelConfig& config, PtqOptions& options);

// The share of the windows whose second moments give the training of a block its start: thresholds
// and scales need less text than what follows.
double starting_share(const std::vector<int64_t>& rows);

// What training is left open by the options (kAuto) becomes what fits a budget of operations,
// about an hour on two cores at SmolLM2-135M's size: small models are trained towards the whole
// model's predictions, on 2048 tokens a step, and in several sweeps; larger ones towards their
// blocks' outputs, on 512 tokens at least. Passes that need the whole model in memory are left out
// where it passes max_memory.
void settle_training(const ModelConfig& config, const std::vector<int64_t>& rows,
                     PtqOptions& options);

}  // namespace tercet::learn
