// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "formats/json.h"
#include "learn/nn/transformer.h"
#include "learn/pretrain/optimizer.h"

namespace tercet::learn {

// OUT/checkpoints/step-00000100/: an HF directory (latent weights) plus optimizer.safetensors and
// state.json. A checkpoint appears whole, by renaming its directory, or not at all; state.json
// holds a checksum of every other file.
struct TrainingState {
  int64_t step = 0;        // optimizer steps done
  uint64_t log_bytes = 0;  // length of the log at that time; a resumed run cuts it there
  double seconds = 0;      // of training so far
  double best_validation_loss = -1;
  Json recipe;  // the run's resolved recipe
};

// Writes a checkpoint and removes all but the newest `keep`.
void save_checkpoint(const std::filesystem::path& out, const TrainingState& state,
                     const Transformer& model, const Optimizer& optimizer,
                     const std::filesystem::path& tokenizer_directory, int64_t keep);

// The newest checkpoint's directory, if there is any. Unfinished ones (a killed run's) are ignored.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& out);

// state.json of a checkpoint, after comparing every file with its checksum. Throws kBadInput naming
// the damaged file and which checkpoint to go back to.
TrainingState read_checkpoint(const std::filesystem::path& checkpoint);

// Copies the tokenizer's files (tokenizer.model and its configuration) between directories.
void copy_tokenizer(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace tercet::learn
