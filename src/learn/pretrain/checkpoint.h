// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/json.h"
#include "learn/nn/transformer.h"
#include "learn/pretrain/loss_guard.h"
#include "learn/pretrain/run_times.h"
#include "learn/pretrain/sharded_optimizer.h"
#include "learn/pretrain/train_events.h"
#include "learn/pretrain/weight_stats.h"

namespace tercet::learn {

// A validation loss; step is -1 for none.
struct Evaluation {
  int64_t step = -1;
  double validation_loss = 0;  // nats per token
  uint64_t tokens = 0;
  std::vector<CorpusLoss> corpora;
};

// OUT/checkpoints/step-00000100/: an HF directory (latent weights) plus optimizer.safetensors,
// weight_codes.safetensors and state.json. A checkpoint appears whole, by renaming its directory,
// or not at all; state.json holds a checksum of every other file.
struct TrainingState {
  int64_t step = 0;          // optimizer steps done
  uint64_t log_bytes = 0;    // length of the log at that time; a resumed run cuts it there
  uint64_t event_bytes = 0;  // and of the event file
  double seconds = 0;        // of training so far
  RunTimes times;
  Evaluation last_eval;
  Evaluation best_eval;  // of the lowest loss whose weights are kept as a checkpoint
  LossGuard::State guard;
  std::string code_version;      // of the program that wrote it; empty: older than this field
  std::string data_fingerprint;  // fingerprint_of() the data sets
  int64_t ranks = 1;             // processes that trained it last
  Json recipe;                   // the run's resolved recipe
};

// As one JSON object and back; throws Json::exception when a field is missing.
Json to_json(const TrainingState& state);
TrainingState training_state(const Json& json);

// What WeightStats::save() writes, beside the weights.
inline constexpr const char* kStatsFile = "weight_codes.safetensors";

// Writes a checkpoint and removes all but the newest `keep` and that of state.best_eval, which
// becomes `best`. All ranks of the team call it; rank 0 writes.
void save_checkpoint(const std::filesystem::path& out, const TrainingState& state,
                     const Transformer& model, const ShardedOptimizer& optimizer,
                     const WeightStats& stats, const std::filesystem::path& tokenizer_directory,
                     int64_t keep, Team team);

// state.json of a checkpoint, after comparing every file with its checksum. Throws kBadInput naming
// the damaged file and which checkpoint to go back to.
TrainingState read_checkpoint(const std::filesystem::path& checkpoint);

// FNV-1a of a file's bytes in hexadecimal.
std::string file_checksum(const std::filesystem::path& file);

}  // namespace tercet::learn
