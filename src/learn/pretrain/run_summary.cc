// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/run_summary.h"

#include <ATen/Parallel.h>

#include <limits>

#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "learn/pretrain/checkpoint_directory.h"

namespace tercet::learn {
namespace {

// A loss that is not a number is written as null.
double number(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

}  // namespace

void write_summary(const std::filesystem::path& out, const TrainingState& state,
                   const TrainResult& result) {
  const CpuInfo cpu = read_cpu_info();
  const auto per_step_ms = [&](double seconds) {
    return 1e3 * seconds / static_cast<double>(state.step);
  };
  Json json = {{"code_version", state.code_version},
               {"family", state.recipe.at("family")},
               {"parameters", result.parameters},
               {"tokens", result.tokens},
               {"steps", result.steps},
               {"validation_loss", result.validation_loss},
               {"validation_tokens", state.last_eval.tokens},
               {"perplexity", result.perplexity},
               {"step_ms", result.step_ms},
               {"data_ms", per_step_ms(state.times.data)},
               {"report_ms", per_step_ms(state.times.report)},
               {"evaluation_ms", per_step_ms(state.times.evaluation)},
               {"checkpoint_ms", per_step_ms(state.times.checkpoint)},
               {"seconds", result.seconds},
               {"peak_rss_bytes", peak_rss_bytes()},
               {"threads", at::get_num_threads()},
               {"ranks", state.ranks},
               {"cpu", cpu.model},
               {"memory_bytes", cpu.memory_bytes},
               {"data_fingerprint", state.data_fingerprint},
               {"recipe", state.recipe}};
  if (state.last_eval.corpora.size() > 1) json["corpora"] = to_json(state.last_eval.corpora);
  write_text_file(out / "training.json", json.dump(2) + "\n");
}

std::optional<TrainResult> read_summary(const std::filesystem::path& out, const Team& team) {
  const std::filesystem::path path = out / "training.json";
  try {
    Json json;
    if (team.is_first() && std::filesystem::exists(path)) {
      json = read_json_file(path);
      const auto newest = newest_checkpoint(out);
      if (newest && *newest != checkpoint_path(out, json.at("steps").get<int64_t>())) json = {};
    }
    json = Json::parse(team.share(json.dump()));
    if (json.is_null()) return std::nullopt;
    TrainResult result;
    result.steps = json.at("steps").get<int64_t>();
    result.tokens = json.at("tokens").get<int64_t>();
    result.validation_loss = number(json.at("validation_loss"));
    result.perplexity = number(json.at("perplexity"));
    result.parameters = json.at("parameters").get<int64_t>();
    result.step_ms = json.at("step_ms").get<double>();
    result.seconds = json.at("seconds").get<double>();
    return result;
  } catch (const Json::exception& error) {
    fail(ErrorCode::kBadInput, "{}: {}", path.string(), error.what());
  }
}

}  // namespace tercet::learn
