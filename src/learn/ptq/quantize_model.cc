// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/quantize_model.h"

#include <ATen/ATen.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "learn/nn/threads.h"
#include "learn/ptq/head.h"
#include "learn/ptq/output_directory.h"
#include "learn/ptq/plan_model.h"
#include "learn/ptq/report_page.h"
#include "learn/ptq/training_budget.h"
#include "learn/ptq/windows.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kCalibrationContext = 512;
constexpr int64_t kEvaluationContext = 2048;
constexpr int64_t kFewestTokens = 256;
constexpr uint64_t kEvaluationMemory = uint64_t{512} << 20;

HfModel open_source(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) {
    fail(ErrorCode::kUsage,
         "'{}' is a file; quantize reads HF directories: tercet convert {} DIR/ --type f32 makes "
         "one of a GGUF file",
         path.string(), path.string());
  }
  HfModel model(path);
  check_quantizable(model.config(), model.ternary_storage().given.has_value(), path.string());
  return model;
}

void check_choice(const PtqOptions& options, const ModelConfig& config) {
  constexpr size_t kWeight = std::string_view(".weight").size();
  for (const TensorSpec& spec : tensor_specs(config)) {
    if (spec.rows == 0 || !spec.hf_name.starts_with("model.layers.")) continue;
    if (is_chosen(options, spec.hf_name.substr(0, spec.hf_name.size() - kWeight))) return;
  }
  fail(ErrorCode::kUsage, "--only '{}' matches no linear map", options.only);
}

void settle_context(int64_t& context, int64_t most, const char* option, const ModelConfig& config) {
  if (context == 0) context = std::min(most, config.max_position_embeddings);
  if (context <= config.max_position_embeddings) return;
  fail(ErrorCode::kUsage, "{} is {}, the model's context {}", option, context,
       config.max_position_embeddings);
}

// Tensors of some megabytes come and go at every step; memory that went back to the system each
// time cost a fifth of the run in page faults.
void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
  ::mallopt(M_TRIM_THRESHOLD, 512 << 20);
}

void settle(PtqOptions& options, const ModelConfig& config) {
  check(options);
  if (options.threads == 0) options.threads = static_cast<int>(read_cpu_info().physical_cores);
  set_compute_threads(options.threads);
  keep_freed_memory();
  // Only packed maps round their inputs at run time.
  if (!is_packable(options.layer.method)) options.int8_activations = false;
  if (options.max_memory == 0) options.max_memory = machine_memory() / 2;
  settle_context(options.context, kCalibrationContext, "--ctx", config);
  settle_context(options.evaluation_context, kEvaluationContext, "--eval-ctx", config);
  check_choice(options, config);
  check(options.rest, config, options.source.string());
}

std::vector<std::vector<int32_t>> text_windows(const fs::path& text, const HfModel& model,
                                               int64_t context, int64_t limit, bool cut) {
  if (text.empty()) return {};
  const Tokenizer tokenizer = Tokenizer::load(model.directory());
  if (tokenizer.vocab_size() > model.config().vocab_size) {
    fail(ErrorCode::kBadInput, "'{}': the tokenizer has {} tokens, the model {}",
         model.directory().string(), tokenizer.vocab_size(), model.config().vocab_size);
  }
  return read_windows(text, tokenizer, context, limit, cut).ids;
}

std::vector<std::vector<int32_t>> calibration_windows(const PtqOptions& options,
                                                      const HfModel& model) {
  auto windows = text_windows(options.calibration, model, options.context,
                              options.calibration_tokens, options.cut_documents);
  int64_t tokens = 0;
  for (const auto& window : windows) tokens += std::ssize(window);
  if (windows.empty() || tokens >= kFewestTokens) return windows;
  fail(ErrorCode::kBadInput, "'{}' is too short to calibrate on: {} tokens, {} at least are needed",
       options.calibration.string(), tokens, kFewestTokens);
}

std::vector<int64_t> lengths_of(const std::vector<std::vector<int32_t>>& windows) {
  std::vector<int64_t> rows;
  for (const auto& window : windows) rows.push_back(std::ssize(window));
  return rows;
}

// As long as the options say, where there is no text or no tokenizer yet.
std::vector<int64_t> assumed_windows(const PtqOptions& options) {
  if (options.calibration.empty() && !needs_calibration(options.layer.method)) return {};
  if (options.calibration_tokens == 0) {
    fail(ErrorCode::kUsage, "a plan without calibration text needs a number: --calib-tokens N");
  }
  std::vector<int64_t> rows(static_cast<size_t>(options.calibration_tokens / options.context),
                            options.context);
  const int64_t rest = options.calibration_tokens % options.context;
  if (rest > 0) rows.push_back(rest);
  return rows;
}

// Whether the full-precision model runs beside the quantized one.
bool needs_both_sides(const PtqOptions& options) {
  return options.layer.cross_term != 0 || options.block_training.steps > 0 ||
         options.end_to_end.steps > 0;
}

CalibrationState initial_state(const HfModel& model, const PtqOptions& options, bool spills,
                               const std::vector<std::vector<int32_t>>& windows) {
  const ModelConfig& config = model.config();
  CalibrationState state;
  state.rows = lengths_of(windows);
  const double kept = static_cast<double>(windows.size()) * (1 - options.held_out);
  state.fit_windows = std::max<size_t>(static_cast<size_t>(kept + 0.5), 1);
  const size_t sides = windows.empty() ? 0 : (needs_both_sides(options) ? 2 : 1);
  const fs::path spill = spills ? options.out : fs::path();
  for (size_t side = 0; side < sides; ++side) {
    state.residual.emplace_back(state.rows, config.hidden_size, spill);
    const auto type = side == 0 ? options.rest.embedding : std::nullopt;
    for (size_t i = 0; i < windows.size(); ++i) {
      state.residual[side].put(i, embedded(model, windows[i], type));
    }
  }
  for (const int64_t width :
       {config.num_attention_heads * config.head_dim, config.intermediate_size}) {
    for (size_t side = 0; side < sides; ++side) state.inner.emplace_back(state.rows, width, spill);
  }
  return state;
}

uint64_t peak_rss() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

// One run with everything settled.
class Run {
 public:
  Run(PtqOptions options, const PtqEvents& events, const std::atomic<bool>* stop,
      const HfModel& source)
      : options_(std::move(options)), events_(events), stop_(stop), source_(source) {}

  PtqResult run() {
    const auto start = std::chrono::steady_clock::now();
    const auto windows = calibration_windows(options_, source_);
    settle_training(source_.config(), lengths_of(windows), options_);
    result_.plan = plan_quantization(source_.config(), options_, lengths_of(windows));
    if (events_.on_plan) events_.on_plan(result_.plan);
    result_.fingerprint = fingerprint_of(source_, windows, to_json(options_));
    const OutputDirectory out(options_, source_, result_.fingerprint);
    quantize_blocks_of(out, windows);

    add_up();
    const at::Tensor final_norm = finish_blocks(out, windows);
    result_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result_.peak_rss_bytes = peak_rss();
    result_.stage_seconds = clock_.seconds();
    out.finish(to_json(result_), final_norm);
    if (!options_.evaluation.empty()) evaluate();
    publish(out);
    if (events_.write_file) result_.file = events_.write_file();
    if (result_.file) publish(out);
    return std::move(result_);
  }

 private:
  void publish(const OutputDirectory& out) const {
    out.amend(to_json(result_));
    write_text_file(options_.out / "report.html", report_page(options_, result_));
  }

  void quantize_blocks_of(const OutputDirectory& out,
                          const std::vector<std::vector<int32_t>>& windows) {
    angles_ = rotary_angles(source_.config(), options_.context);
    std::optional<PredictionLoss> predictions;
    if (options_.uses_predictions()) {
      streams_.emplace(source_streams(source_, angles_, windows, spill(), stop_));
      predictions.emplace(source_, options_.rest.head, angles_, *streams_, training_compute());
    }
    for (int sweep = 0; sweep <= options_.block_training.sweeps; ++sweep) {
      CalibrationState state = initial_state(source_, options_, result_.plan.spills, windows);
      BlockQuantizer quantizer(block_settings(predictions ? &*predictions : nullptr), state);
      result_.layers.clear();
      for (int64_t layer = 0; layer < source_.config().num_hidden_layers; ++layer) {
        quantize_block(out, quantizer, layer, sweep);
        if (predictions) predictions->replace(layer, out.read_block(layer), low_bit_maps(layer));
      }
      if (state.has_float() && !streams_) streams_.emplace(std::move(state.residual[1]));
    }
  }

  BlockQuantizer::Settings block_settings(const PredictionLoss* predictions) {
    BlockQuantizer::Settings settings;
    settings.config = &source_.config();
    settings.angles = &angles_;
    settings.layer = options_.layer;
    settings.training = options_.block_training;
    settings.predictions = predictions;
    settings.int8_inputs = options_.int8_activations;
    settings.training_compute = training_compute();
    settings.chosen = [this](const std::string& module) { return is_chosen(options_, module); };
    settings.stop = stop_;
    settings.clock = &clock_;
    return settings;
  }

  void quantize_block(const OutputDirectory& out, BlockQuantizer& quantizer, int64_t layer,
                      int sweep) {
    const auto done = out.finished(layer, sweep);
    // What a block leaves free lies in pieces between what stays; kept, it grew from block to block.
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

  BlockWeights read(const OutputDirectory& out, int64_t layer, bool quantized) {
    const StageScope stage(&clock_, kReadStage);
    return quantized ? out.read_block(layer) : load_block(source_, layer);
  }

  void write(const OutputDirectory& out, int64_t layer, int sweep, const BlockWeights& weights,
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

  at::ScalarType training_compute() const {
    return options_.trains_in_bf16 ? at::kBFloat16 : at::kFloat;
  }

  fs::path spill() const { return result_.plan.spills ? options_.out : fs::path(); }

  // What follows when all blocks are quantized. Returns the trained final norm, if it was.
  at::Tensor finish_blocks(const OutputDirectory& out,
                           const std::vector<std::vector<int32_t>>& windows) {
    at::Tensor final_norm;
    if (!options_.changes_blocks_later()) return final_norm;
    std::vector<BlockWeights> blocks;
    for (int64_t layer = 0; layer < source_.config().num_hidden_layers; ++layer) {
      blocks.push_back(out.read_block(layer));
    }
    if (options_.end_to_end.steps > 0) final_norm = tune(blocks, windows);
    for (int64_t layer = 0; layer < std::ssize(blocks); ++layer) {
      out.write_trained_block(layer, blocks[static_cast<size_t>(layer)]);
    }
    return final_norm;
  }

  at::Tensor tune(std::vector<BlockWeights>& blocks,
                  const std::vector<std::vector<int32_t>>& windows) {
    const StageScope stage(&clock_, kTuningStage);
    EndToEndTask task;
    task.source = &source_;
    task.grouping = options_.layer.grouping;
    task.chosen = [this](const std::string& module) { return is_chosen(options_, module); };
    task.int8_inputs = options_.int8_activations;
    task.compute = training_compute();
    task.rest = options_.rest;
    task.windows = &windows;
    task.streams = &*streams_;
    task.stop = stop_;
    task.progress = events_.on_tuning;
    at::Tensor final_norm = ModelHead(source_).norm();
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

  void evaluate() {
    const HfModel quantized(options_.out);
    const auto windows = text_windows(options_.evaluation, source_, options_.evaluation_context,
                                      options_.evaluation_tokens, options_.cut_documents);
    EvaluationRequest request;
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
  RotaryAngles angles_;
  std::optional<ActivationStore> streams_;  // of the source, behind its last block
  StageClock clock_;
  PtqResult result_;
};

}  // namespace

PtqPlan plan_run(PtqOptions options, const PlanHardware& hardware) {
  std::optional<HfModel> source;
  std::error_code ignored;
  if (fs::is_regular_file(options.source, ignored) ? options.source.extension() != ".json"
                                                   : has_weights(options.source)) {
    source = open_source(options.source);
  }
  const ModelConfig config = source ? source->config() : planned_config(options.source);
  settle(options, config);
  const bool reads = source && !options.calibration.empty();
  const std::vector<int64_t> rows =
      reads ? lengths_of(calibration_windows(options, *source)) : assumed_windows(options);
  settle_training(config, rows, options);
  PtqPlan plan = plan_quantization(config, options, rows, hardware);
  plan.assumed_tokens = !reads && !rows.empty();
  plan.assumed_weights = !source;
  return plan;
}

PtqResult quantize_model(PtqOptions options, const PtqEvents& events,
                         const std::atomic<bool>* stop) {
  const HfModel source = open_source(options.source);
  check_calibration(options);
  settle(options, source.config());
  return Run(options, events, stop, source).run();
}

}  // namespace tercet::learn
