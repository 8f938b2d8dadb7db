// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

#include "formats/json.h"
#include "learn/pretrain/recipe.h"

namespace tercet::learn {

// What would lose work later, found before a run starts or goes on.

// Throws kBadInput naming the first field in which the recipe of a checkpoint differs from the one
// that the run's log began with: it is another run's. A run without a log passes.
void check_same_run(const std::filesystem::path& out, const std::filesystem::path& checkpoint,
                    const Json& recipe);

// Bytes that a run will still write at most, all that it keeps at one time counted: checkpoints
// beyond the `existing` ones, and the model at its end.
uint64_t disk_bytes(const Recipe& recipe, int64_t parameters, int64_t existing);

// About what one of `ranks` ranks holds at its peak: weights, gradients, its share of the
// optimizer's state, codes, and what a micro-batch of the resolved recipe keeps for the backward
// pass.
uint64_t training_memory(const Recipe& recipe, const ModelConfig& config, int64_t ranks);

// Throws kUsage when the memory that is free on this machine is clearly too little for the
// `sharing` of the ranks that run on it.
void check_memory(const Recipe& recipe, const ModelConfig& config, int64_t ranks, int64_t sharing);

// Throws kIo naming the disk when it has less room than that.
void check_disk(const std::filesystem::path& out, const Recipe& recipe, int64_t parameters);

}  // namespace tercet::learn
