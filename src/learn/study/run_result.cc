// SPDX-License-Identifier: Apache-2.0
#include "learn/study/run_result.h"

#include <cmath>

#include "core/error.h"
#include "packing/ternary.h"

namespace tercet::learn {
namespace {

template <typename Value>
Value field(const Json& json, const char* name, const std::string& origin) {
  try {
    return json.at(name).get<Value>();
  } catch (const Json::exception& error) {
    fail(ErrorCode::kBadInput, "{} is not the result of a training: {}: {}", origin, name,
         error.what());
  }
}

// The configuration with the vocabulary that makes up the number of parameters.
ModelConfig config_of(const Recipe& recipe, int64_t parameters, const std::string& origin) {
  constexpr int64_t kGuess = 512;
  ModelConfig config = model_config(recipe, kGuess, 1, 2);
  const int64_t per_token = config.hidden_size * (config.tie_word_embeddings ? 1 : 2);
  const int64_t others = config.parameter_count() - kGuess * per_token;
  config.vocab_size = (parameters - others) / per_token;
  if (config.vocab_size < 1 || config.parameter_count() != parameters) {
    fail(ErrorCode::kBadInput, "{}: {} parameters do not fit the shape in its recipe", origin,
         parameters);
  }
  return config;
}

void check_numbers(const RunResult& run) {
  const bool sane = std::isfinite(run.validation_loss) && run.validation_loss > 0 &&
                    run.parameters > 0 && run.tokens > 0 && run.steps > 0;
  if (!sane) {
    fail(ErrorCode::kBadInput, "{}: parameters, tokens, steps and validation_loss must be above 0",
         run.origin);
  }
}

}  // namespace

int64_t RunResult::non_embedding_parameters() const {
  return parameters - config.vocab_size * config.hidden_size * (config.tie_word_embeddings ? 1 : 2);
}

RunResult run_of_json(const Json& json, const std::string& origin) {
  if (!json.is_object() || !json.contains("recipe")) {
    fail(ErrorCode::kBadInput, "{} is not the result of a training: it has no recipe", origin);
  }
  RunResult run;
  run.origin = origin;
  run.family = field<std::string>(json, "family", origin);
  run.parameters = field<int64_t>(json, "parameters", origin);
  run.tokens = field<int64_t>(json, "tokens", origin);
  run.steps = field<int64_t>(json, "steps", origin);
  run.validation_loss = field<double>(json, "validation_loss", origin);
  run.validation_tokens = field<int64_t>(json, "validation_tokens", origin);
  run.perplexity = field<double>(json, "perplexity", origin);
  run.step_ms = field<double>(json, "step_ms", origin);
  run.seconds = field<double>(json, "seconds", origin);
  run.peak_rss_bytes = field<int64_t>(json, "peak_rss_bytes", origin);
  run.threads = field<int64_t>(json, "threads", origin);
  if (json.contains("data_fingerprint")) {
    run.data_fingerprint = field<std::string>(json, "data_fingerprint", origin);
  }
  check_numbers(run);
  apply_json(run.recipe, json.at("recipe"), origin + ": recipe");
  run.recipe = resolved(run.recipe);
  run.config = config_of(run.recipe, run.parameters, origin);
  return run;
}

RunResult read_run(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "training.json";
  return run_of_json(read_json_file(file), file.string());
}

Json to_json(const RunResult& run) {
  Json recipe = to_json(run.recipe);
  recipe.erase("data");  // a path of this machine
  const StoredMaps stored = stored_maps(run.config);
  return {{"family", run.family},
          {"parameters", run.parameters},
          {"non_embedding_parameters", run.non_embedding_parameters()},
          {"linear_parameters", run.linear_parameters()},
          {"tokens", run.tokens},
          {"steps", run.steps},
          {"validation_loss", run.validation_loss},
          {"validation_tokens", run.validation_tokens},
          {"perplexity", run.perplexity},
          {"step_ms", run.step_ms},
          {"seconds", run.seconds},
          {"peak_rss_bytes", run.peak_rss_bytes},
          {"threads", run.threads},
          {"linear_bits_per_weight", stored.bits_per_weight},
          {"linear_stored_as", stored.type},
          {"data_fingerprint", run.data_fingerprint},
          {"recipe", recipe}};
}

StoredMaps stored_maps(const ModelConfig& config) {
  if (!has_low_bit_maps(config.linear)) return {"f16", 16};
  const packing::Layout layout =
      config.linear == LinearKind::kB1 ? packing::Layout::kSign8 : packing::Layout::kTrit5;
  uint64_t bytes = 0;
  for (const TensorSpec& spec : tensor_specs(config)) {
    if (!spec.low_bit) continue;
    bytes +=
        packing::own_parts(layout, spec.rows, spec.cols, packing::ScaleScope::kTensor, 0).total();
  }
  return {packing::to_string(layout),
          packing::bits_per_weight(bytes, 1, config.linear_parameter_count())};
}

}  // namespace tercet::learn
