// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formats/json.h"
#include "learn/ptq/block_quantizer.h"
#include "learn/ptq/end_to_end.h"
#include "learn/ptq/evaluate.h"
#include "learn/ptq/plan.h"

namespace tercet::learn {

// The GGUF file that was made of the directory, as tercet convert tells of it.
struct PackedFile {
  std::string name;
  std::string type;  // of the quantized maps
  std::string embedding_type;
  std::string head_type;
  uint64_t bytes = 0;
  double linear_bits_per_weight = 0;  // every scale and padding counted
  double model_bits_per_weight = 0;   // of all tensors: embedding, head and norms too
};

struct PtqResult {
  std::vector<LayerReport> layers;
  int64_t quantized_weights = 0;
  double bits_per_weight = 0;  // of the quantized maps, every scale counted
  std::optional<PackedFile> file;
  std::optional<EndToEndReport> tuning;
  std::optional<EvaluationReport> evaluation;
  std::string evaluation_text;                  // checksum of what that was measured on
  double seconds = 0;                           // without the evaluation
  std::map<std::string, double> stage_seconds;  // of which, by StageClock
  uint64_t peak_rss_bytes = 0;
  PtqPlan plan;
  std::string fingerprint;
};

Json to_json(const PtqResult& result);
// The inverse, without the plan. Throws kBadInput.
PtqResult ptq_result_from_json(const Json& json);

}  // namespace tercet::learn
