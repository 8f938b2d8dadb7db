// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <vector>

#include "learn/dist/team.h"
#include "learn/ptq/block_quantizer.h"
#include "learn/ptq/evaluate.h"
#include "learn/ptq/options.h"
#include "learn/ptq/plan.h"

namespace tercet::learn {

struct PtqResult {
  std::vector<LayerReport> layers;
  int64_t quantized_weights = 0;
  double bits_per_weight = 0;  // of the quantized maps, every scale counted
  std::optional<EndToEndReport> tuning;
  std::optional<EvaluationReport> evaluation;
  double seconds = 0;  // without the evaluation
  uint64_t peak_rss_bytes = 0;
  PtqPlan plan;
  std::string fingerprint;
};

// What happens on the way; each may be empty.
struct PtqEvents {
  std::function<void(const PtqPlan&)> on_plan;
  // A block is finished (resumed: it was before).
  std::function<void(int64_t done, int64_t total, const std::vector<LayerReport>&, bool resumed)>
      on_block;
  std::function<void(int64_t done, int64_t total, double kl)> on_tuning;  // steps
  std::function<void(int64_t done, int64_t total)> on_evaluation;         // blocks
};

// The plan of a run on so many ranks of this machine, nothing else: reads the model's headers and
// the calibration text.
PtqPlan plan_run(PtqOptions options, int64_t ranks);

// Quantizes the model at options.source into options.out, block by block. Throws what the options,
// the model or the text deserve; kUnsupported for a model that is ternary already or of a kind that
// is not computed here; kInterrupted when *stop becomes true, finished blocks kept. Every rank of
// `team` calls it, with a share of the windows each; what one throws ends the work of all, and only
// rank 0's result is that of all.
PtqResult quantize_model(PtqOptions options, const PtqEvents& events, const std::atomic<bool>* stop,
                         Team team = {});

Json to_json(const PtqResult& result);
Json to_json(const PtqPlan& plan);

}  // namespace tercet::learn
