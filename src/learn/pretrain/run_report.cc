// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/run_report.h"

#include "core/cpu.h"
#include "learn/pretrain/weight_stats.h"

namespace tercet::learn {
namespace {

// TensorBoard looks for "tfevents" in names.
constexpr const char* kEventFile = "events.out.tfevents.0.tercet";

}  // namespace

RunReport::RunReport(const std::filesystem::path& out, uint64_t log_bytes, uint64_t event_bytes,
                     const TrainEvents& events)
    : log_(out / "log.jsonl", log_bytes), curves_(out / kEventFile, event_bytes), events_(events) {}

void RunReport::start(const RunInfo& info) {
  if (log_.bytes() == 0) {
    Json line = {{"event", "start"},
                 {"code_version", info.code_version},
                 {"data_fingerprint", info.data_fingerprint},
                 {"recipe", to_json(info.recipe)},
                 {"corpora", to_json(info.corpora)},
                 {"parameters", info.config.parameter_count()},
                 {"linear_parameters", info.config.linear_parameter_count()},
                 {"ranks", info.ranks},
                 {"optimizer_bytes", info.optimizer_bytes},
                 {"threads", info.threads},
                 {"cpu", read_cpu_info().model},
                 {"gemm_gflops", info.gemm_gflops}};
    if (!info.recipe.init_from.empty()) line["kept_optimizer"] = info.kept_optimizer;
    log_.write(line);
  }
  if (info.resumed) {
    log_.write({{"event", "resume"},
                {"step", info.first_step},
                {"code_version", info.code_version},
                {"checkpoint_version", info.checkpoint_version},
                {"ranks", info.ranks},
                {"optimizer_bytes", info.optimizer_bytes},
                {"threads", info.threads},
                {"gemm_gflops", info.gemm_gflops}});
  }
  if (events_.on_start) events_.on_start(info);
}

void RunReport::step(const StepReport& report) {
  log_.write(to_json(report));
  curves_.add(report.step, {{"loss/train", report.loss},
                            {"optimizer/grad_norm", report.grad_norm},
                            {"optimizer/learning_rate", report.learning_rate},
                            {"speed/tokens_per_second", report.tokens_per_second}});
  if (events_.on_step) events_.on_step(report);
}

void RunReport::skip(const SkipReport& report) {
  log_.write(to_json(report));
  if (events_.on_skip) events_.on_skip(report);
}

void RunReport::eval(const EvalReport& report) {
  log_.write(to_json(report));
  curves_.add(report.step, {{"loss/validation", report.validation_loss}});
  if (report.corpora.size() > 1) {
    for (const CorpusLoss& corpus : report.corpora) {
      curves_.add(report.step, {{"validation/" + corpus.name, corpus.validation_loss}});
    }
  }
  if (events_.on_eval) events_.on_eval(report);
}

void RunReport::stats(const WeightReport& report) {
  Json line = to_json(report);
  line["event"] = "stats";
  log_.write(line);
  if (report.has_codes) {
    const auto share = [&](int64_t count) {
      return static_cast<double>(count) / static_cast<double>(report.total.weights);
    };
    curves_.add(report.step, {{"weights/minus", share(report.total.minus)},
                              {"weights/zero", share(report.total.zero)},
                              {"weights/plus", share(report.total.plus)}});
    if (report.steps_since > 0) {
      curves_.add(report.step, {{"flips/all", report.flips_per_step(report.total)}});
      for (const WeightReport::Kind& kind : report.kinds) {
        curves_.add(report.step, {{"flips/" + kind.name, report.flips_per_step(kind.counts)}});
      }
    }
  }
  if (events_.on_stats) events_.on_stats(report);
}

void RunReport::sample(int64_t step, const std::string& prompt, const std::string& text) {
  log_.write({{"event", "sample"}, {"step", step}, {"prompt", prompt}, {"text", text}});
  if (events_.on_sample) events_.on_sample(step, text);
}

void RunReport::checkpoint(const std::filesystem::path& directory) {
  if (events_.on_checkpoint) events_.on_checkpoint(directory);
}

void RunReport::flush() {
  log_.flush();
  curves_.flush();
}

}  // namespace tercet::learn
