// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <vector>

#include "learn/dist/team.h"
#include "learn/ptq/options.h"
#include "learn/ptq/plan.h"
#include "learn/ptq/ptq_result.h"

namespace tercet::learn {

// What happens on the way; each may be empty.
struct PtqEvents {
  // resumed: the model is there, and only to be measured and packed.
  std::function<void(const PtqPlan&, bool resumed)> on_plan;
  // A block is finished (resumed: it was before).
  std::function<void(int64_t done, int64_t total, const std::vector<LayerReport>&, bool resumed)>
      on_block;
  // Steps of the training of a block, while so many blocks are done.
  std::function<void(int64_t done, int step, int steps, double loss)> on_training;
  std::function<void(int64_t done, int64_t total, double kl)> on_tuning;  // steps
  // Blocks whose errors were measured once more behind the last pass or sweep, and written.
  std::function<void(int64_t done, int64_t total)> on_measured;
  std::function<void(int64_t done, int64_t total)> on_evaluation;  // blocks
  // The directory is complete and measured: makes the GGUF file of it, if there is to be one.
  std::function<std::optional<PackedFile>()> write_file;
};

// The plan of a run, nothing else: reads the model's headers and the calibration text. Where the
// weights are not there (options.source may be a directory without them, or the config.json), the
// shape is enough; without text or weights calibration_tokens are assumed. sharing: ranks that have
// this machine's memory and cores together.
PtqPlan plan_run(PtqOptions options, const PlanHardware& hardware = {}, int sharing = 1);

// Quantizes the model at options.source into options.out, block by block. Throws what the options,
// the model or the text deserve; kUnsupported for a model that is ternary already or of a kind that
// is not computed here; kInterrupted when *stop becomes true, finished blocks kept. Every rank of
// `team` calls it, with a share of the windows each; what one throws ends the work of all, and only
// rank 0's result is that of all.
PtqResult quantize_model(PtqOptions options, const PtqEvents& events, const std::atomic<bool>* stop,
                         Team team = {});

}  // namespace tercet::learn
