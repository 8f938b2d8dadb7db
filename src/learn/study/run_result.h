// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "formats/json.h"
#include "formats/model_config.h"
#include "learn/pretrain/recipe.h"

namespace tercet::learn {

// What a finished training came to: its training.json, and what follows from that.
struct RunResult {
  std::string origin;  // the file, for errors
  std::string family;
  Recipe recipe;
  ModelConfig config;
  int64_t parameters = 0;
  int64_t tokens = 0;
  int64_t steps = 0;
  double validation_loss = 0;  // nats per token
  int64_t validation_tokens = 0;
  double perplexity = 0;
  double step_ms = 0;
  double seconds = 0;
  int64_t peak_rss_bytes = 0;
  int64_t threads = 0;
  std::string data_fingerprint;  // empty: results of older versions do not say

  int64_t linear_parameters() const { return config.linear_parameter_count(); }
  // All but embedding and head.
  int64_t non_embedding_parameters() const;
  bool is_low_bit() const { return has_low_bit_maps(config.linear); }
};

// training.json of a run's directory. Throws kIo when there is none, kBadInput naming file and
// field when it is damaged.
RunResult read_run(const std::filesystem::path& directory);

// The same from a member of a results file (twin.json).
RunResult run_of_json(const Json& json, const std::string& origin);

// The fields that every results file has for a run.
Json to_json(const RunResult& run);

// How `tercet convert` stores the linear maps in the least space, and at how many bits each weight,
// every scale and padding counted. Dense ones count as f16.
struct StoredMaps {
  std::string type;
  double bits_per_weight = 0;
};
StoredMaps stored_maps(const ModelConfig& config);

}  // namespace tercet::learn
