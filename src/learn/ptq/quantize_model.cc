// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/quantize_model.h"

#include <ATen/ATen.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>

#include "core/cpu.h"
#include "core/file.h"
#include "learn/ptq/calibration.h"
#include "learn/ptq/head.h"
#include "learn/ptq/ranks.h"
#include "learn/ptq/report_page.h"
#include "learn/ptq/run_checks.h"
#include "learn/ptq/run_setup.h"
#include "learn/ptq/shared_output.h"
#include "learn/ptq/training_budget.h"
#include "learn/ptq/window_order.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kEvaluationMemory = uint64_t{512} << 20;

// One run with everything settled.
class Run {
 public:
  Run(PtqOptions options, const PtqEvents& events, const std::atomic<bool>* stop,
      const HfModel& source, Team team)
      : options_(std::move(options)),
        events_(events),
        stop_(stop),
        source_(source),
        team_(team),
        share_(team) {}

  PtqResult run() {
    const auto start = std::chrono::steady_clock::now();
    const Windows windows = calibration_windows(options_, source_, team_.ranks());
    const Windows judged = evaluation_windows(options_, source_);
    settle_with_memory(lengths_of(windows));
    check_agreement(windows, judged);
    if (team_.is_first()) check_before();
    const SharedOutput out(team_, options_, source_, result_.fingerprint);
    if (events_.on_plan) events_.on_plan(result_.plan, out.summary().has_value());
    if (out.summary()) {
      take_up(*out.summary());
    } else {
      quantize_blocks_of(out, windows);
      add_up();
      const at::Tensor final_norm = finish_blocks(out, windows);
      result_.seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      result_.peak_rss_bytes = peak_rss_bytes();
      result_.stage_seconds = clock_.seconds();
      out.finish(to_json(result_), final_norm);
    }
    const std::string text = judged.empty() ? "" : fingerprint_of(source_, judged, {});
    if (!judged.empty() && text != result_.evaluation_text) {
      evaluate(judged, out.is_seen_by_all());
      result_.evaluation_text = text;
    }
    publish(out, !events_.write_file);
    if (events_.write_file) {
      result_.file = events_.write_file();
      publish(out, true);
    }
    return std::move(result_);
  }

 private:
  void publish(const SharedOutput& out, bool is_complete) const {
    if (team_.is_first()) {
      write_text_file(options_.out / "report.html", report_page(options_, result_));
    }
    Json summary = to_json(result_);
    // That of the run which made the model.
    if (out.summary()) summary["plan"] = out.summary()->value("plan", summary["plan"]);
    out.amend(summary, is_complete);
  }

  // A directory that holds the finished model needs none of it, and blocks look at their weights.
  void check_before() const {
    if (OutputDirectory::is_quantized(options_.out, result_.fingerprint)) return;
    check_room(result_.plan, options_.out, options_.resume, most_on_one_machine_);
    if (!options_.resume) check_values(source_, stop_);
  }

  // Of a model that an earlier run finished.
  void take_up(const Json& summary) {
    const PtqPlan plan = result_.plan;
    const std::string fingerprint = result_.fingerprint;
    result_ = ptq_result_from_json(summary);
    result_.plan = plan;
    result_.fingerprint = fingerprint;
  }

  // What is trained follows from the memory of rank 0's machine, so that it is the same for any
  // number of ranks; whether a rank's share of that is enough, the plan says.
  void settle_with_memory(const std::vector<int64_t>& rows) {
    const uint64_t limit = memory_limit(options_);
    options_.max_memory = std::stoull(team_.share(fmt::format("{}", limit)));
    settle_training(source_.config(), rows, options_);
    most_on_one_machine_ = most_on_one_machine(team_);
    options_.max_memory = limit / static_cast<uint64_t>(most_on_one_machine_);
    PlanHardware hardware;
    hardware.ranks = static_cast<int>(team_.ranks());
    result_.plan = plan_quantization(source_.config(), options_, rows, hardware);
  }

  // Of all ranks, and of a run with the one that continues it. Threads may differ.
  void check_agreement(const Windows& windows, const Windows& judged) {
    Json options = to_json(options_);
    options.erase("threads");
    result_.fingerprint = fingerprint_of(source_, windows, options);
    ProcessGroup::NamedValues values;
    for (const auto& [name, value] : options.items()) values.emplace_back(name, value.dump());
    values.emplace_back("the checksum of model and calibration text", result_.fingerprint);
    values.emplace_back("the checksum of the evaluation text", fingerprint_of(source_, judged, {}));
    team_.check_agreement(values);
  }

  void quantize_blocks_of(const SharedOutput& out, const Windows& windows) {
    angles_ = rotary_angles(source_.config(), options_.context);
    std::optional<PredictionLoss> predictions;
    if (options_.uses_predictions()) {
      streams_.emplace(source_streams(source_, angles_, windows, spill(), stop_, share_));
      predictions.emplace(source_, options_.rest.head, angles_, *streams_, compute());
    }
    for (int sweep = 0; sweep <= options_.block_training.sweeps; ++sweep) {
      CalibrationState state =
          initial_state(source_, options_, spill(), windows, share_, needs_both_sides(options_));
      BlockQuantizer quantizer(block_settings(predictions ? &*predictions : nullptr, sweep), state);
      result_.layers.clear();
      for (int64_t layer = 0; layer < source_.config().num_hidden_layers; ++layer) {
        quantize_block(out, quantizer, layer, sweep);
        if (predictions) predictions->replace(layer, out.read_block(layer), low_bit_maps(layer));
      }
      if (options_.end_to_end.steps > 0 && state.has_float() && !streams_)
        streams_.emplace(std::move(state.residual[1]));
    }
  }

  BlockQuantizer::Settings block_settings(const PredictionLoss* predictions, int sweep) {
    BlockQuantizer::Settings settings;
    settings.config = &source_.config();
    settings.angles = &angles_;
    settings.layer = options_.layer;
    settings.training = options_.block_training;
    settings.predictions = predictions;
    settings.int8_inputs = options_.int8_activations;
    settings.compute = compute();
    settings.moments_compute = options_.moments_in_bf16() ? at::kBFloat16 : at::kFloat;
    settings.chosen = [this](const std::string& module) { return is_chosen(options_, module); };
    settings.team = team_;
    settings.stop = stop_;
    settings.clock = &clock_;
    if (events_.on_training) {
      settings.progress = [this, sweep](int64_t layer, int step, int steps, double loss) {
        events_.on_training(sweep * source_.config().num_hidden_layers + layer, step, steps, loss);
      };
    }
    return settings;
  }

  void quantize_block(const SharedOutput& out, BlockQuantizer& quantizer, int64_t layer,
                      int sweep) {
    const auto done = out.finished(layer, sweep);
    // What a block leaves free lies in pieces between what stays; kept, it grew from block to
    // block.
    ::malloc_trim(0);
    std::vector<LayerReport> reports;
    BlockWeights weights = read(out, layer, done || sweep > 0);
    if (done) {
      reports = *done;
      quantizer.advance(layer, read(out, layer, false), weights);
    } else if (sweep == 0) {
      reports = quantizer.quantize(layer, weights);
      write(out, layer, 0, weights, quantizer.latents(), reports);
    } else {
      reports = *out.finished(layer, sweep - 1);
      LatentWeights latents = out.read_latents(layer);
      quantizer.retrain(layer, read(out, layer, false), sweep, weights, latents, reports);
      write(out, layer, sweep, weights, latents, reports);
    }
    if (events_.on_block) {
      const int64_t layers = source_.config().num_hidden_layers;
      events_.on_block(sweep * layers + layer + 1, (options_.block_training.sweeps + 1) * layers,
                       reports, done.has_value());
    }
    result_.layers.insert(result_.layers.end(), reports.begin(), reports.end());
  }

  BlockWeights read(const SharedOutput& out, int64_t layer, bool quantized) {
    const StageScope stage(&clock_, kReadStage);
    return quantized ? out.read_block(layer) : load_block(source_, layer);
  }

  void write(const SharedOutput& out, int64_t layer, int sweep, const BlockWeights& weights,
             const LatentWeights& latents, const std::vector<LayerReport>& reports) {
    const StageScope stage(&clock_, kWriteStage);
    out.write_block(layer, sweep, weights, latents, reports);
  }

  std::vector<std::string> low_bit_maps(int64_t layer) const {
    std::vector<std::string> out;
    for (const std::string& map : linear_maps()) {
      const std::string module = fmt::format("model.layers.{}.{}", layer, map);
      if (options_.int8_activations && is_chosen(options_, module)) out.push_back(map);
    }
    return out;
  }

  at::ScalarType compute() const {
    return options_.products_in_bf16() ? at::kBFloat16 : at::kFloat;
  }

  // Another machine may be without the output directory.
  fs::path spill() const {
    if (!result_.plan.spills) return {};
    return fs::is_directory(options_.out) ? options_.out : fs::temp_directory_path();
  }

  // What follows when all blocks are quantized. Returns the trained final norm, if it was.
  at::Tensor finish_blocks(const SharedOutput& out, const Windows& windows) {
    at::Tensor final_norm;
    if (!options_.changes_blocks_later()) return final_norm;
    const int64_t layers = source_.config().num_hidden_layers;
    const bool tunes = options_.end_to_end.steps > 0;
    std::vector<BlockWeights> tuned;
    if (tunes) {
      for (int64_t layer = 0; layer < layers; ++layer) tuned.push_back(read(out, layer, true));
      final_norm = tune(out, tuned, windows);
    }
    streams_.reset();
    // On what training started from; equalization looks at all windows.
    const double share = starting_share(lengths_of(windows));
    const bool takes_all = options_.layer.equalization > 0;
    CalibrationState state =
        initial_state(source_, options_, spill(), takes_all ? windows : sample_of(windows, share),
                      share_, takes_all);
    BlockQuantizer quantizer(block_settings(nullptr, 0), state);
    for (int64_t layer = 0; layer < layers; ++layer) {
      const BlockWeights block =
          tunes ? std::move(tuned[static_cast<size_t>(layer)]) : read(out, layer, true);
      const std::span<LayerReport> reports = reports_of(layer);
      update_scales(layer, block, reports);
      quantizer.measure(layer, read(out, layer, false), block, takes_all ? share : 1,
                        tunes ? kTuningStage : "sweeps", reports);
      {
        const StageScope stage(&clock_, kWriteStage);
        out.write_trained_block(layer, block);
      }
      ::malloc_trim(0);
      if (events_.on_measured) events_.on_measured(layer + 1, layers);
    }
    return final_norm;
  }

  static Windows sample_of(const Windows& windows, double share) {
    Windows out;
    for (size_t i = 0; i < windows.size(); ++i) {
      if (is_in_sample(i, share)) out.push_back(windows[i]);
    }
    return out;
  }

  static std::string prefix_of(int64_t layer) { return fmt::format("model.layers.{}.", layer); }

  std::span<LayerReport> reports_of(int64_t layer) {
    const auto is_here = [prefix = prefix_of(layer)](const LayerReport& report) {
      return report.name.starts_with(prefix);
    };
    const auto first = std::find_if(result_.layers.begin(), result_.layers.end(), is_here);
    return {first, std::find_if_not(first, result_.layers.end(), is_here)};
  }

  // The last pass leaves codes as they are.
  void update_scales(int64_t layer, const BlockWeights& block,
                     std::span<LayerReport> reports) const {
    for (LayerReport& report : reports) {
      const at::Tensor& values = block.at(report.name.substr(prefix_of(layer).size()) + ".weight");
      report.mean_scale =
          codes_of(values, options_.layer.grouping).scales.to(at::kDouble).mean().item<double>();
    }
  }

  at::Tensor tune(const SharedOutput& out, std::vector<BlockWeights>& blocks,
                  const Windows& windows) {
    const StageScope stage(&clock_, kTuningStage);
    EndToEndTask task;
    task.source = &source_;
    task.grouping = options_.layer.grouping;
    task.chosen = [this](const std::string& module) { return is_chosen(options_, module); };
    task.int8_inputs = options_.int8_activations;
    // Also behind the baselines, which take everything else in f32.
    task.compute = options_.uses_bf16 ? at::kBFloat16 : at::kFloat;
    task.rest = options_.rest;
    task.windows = &windows;
    task.streams = &*streams_;
    task.team = team_;
    task.stop = stop_;
    task.progress = events_.on_tuning;
    task.begin = out.read_tuning();
    task.save = [&out](const EndToEndState& state) { out.write_tuning(state); };
    at::Tensor final_norm = final_norm_of(source_);
    result_.tuning = train_end_to_end(task, options_.end_to_end, blocks, final_norm);
    return final_norm;
  }

  void add_up() {
    double bits = 0;
    for (const LayerReport& layer : result_.layers) {
      const int64_t weights = layer.rows * layer.cols;
      result_.quantized_weights += weights;
      bits += layer.bits_per_weight * static_cast<double>(weights);
    }
    result_.bits_per_weight = bits / static_cast<double>(result_.quantized_weights);
  }

  // together: every rank scores its share of the windows; otherwise rank 0 scores all.
  void evaluate(Windows windows, bool together) {
    if (!together && !team_.is_first()) return;
    const HfModel quantized(options_.out);
    EvaluationRequest request;
    if (together) {
      windows = share_.of(windows);
      request.team = team_;
    }
    request.source = &source_;
    request.quantized = &quantized;
    request.windows = &windows;
    request.memory = std::min(kEvaluationMemory, options_.max_memory);
    request.rest = options_.rest;
    request.stop = stop_;
    request.progress = events_.on_evaluation;
    request.int8_inputs = [this](const std::string& module) {
      return options_.int8_activations && is_chosen(options_, module);
    };
    result_.evaluation = evaluate_beside(request);
  }

  PtqOptions options_;
  const PtqEvents& events_;
  const std::atomic<bool>* stop_;
  const HfModel& source_;
  Team team_;
  WindowShare share_;
  RotaryAngles angles_;
  std::optional<ActivationStore> streams_;  // of the source, behind its last block
  int64_t most_on_one_machine_ = 1;
  StageClock clock_;
  PtqResult result_;
};

}  // namespace

PtqResult quantize_model(PtqOptions options, const PtqEvents& events, const std::atomic<bool>* stop,
                         Team team) {
  const HfModel source = open_source(options.source);
  check_calibration(options);
  settle(options, source.config(), team.sharing());
  if (team.group() != nullptr) team.group()->open(at::kCPU);
  return Run(options, events, stop, source, team).run();
}

}  // namespace tercet::learn
