// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/run_summary.h"

#include <ATen/Parallel.h>

#include "core/cpu.h"
#include "core/file.h"

namespace tercet::learn {

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

}  // namespace tercet::learn
