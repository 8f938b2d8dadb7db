// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "learn/data/batch_loader.h"
#include "learn/nn/model_io.h"
#include "learn/pretrain/checkpoint.h"
#include "learn/pretrain/evaluate.h"
#include "learn/pretrain/event_file.h"
#include "learn/pretrain/loss_guard.h"
#include "learn/pretrain/optimizer.h"
#include "learn/pretrain/training_log.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_files.h"

namespace tercet::learn {
namespace {

using Clock = std::chrono::steady_clock;

// TensorBoard looks for "tfevents" in names.
constexpr const char* kEventFile = "events.out.tfevents.0.tercet";

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

at::Device parse_device(const std::string& name) {
  if (name == "cuda" && !at::hasCUDA()) {
    fail(ErrorCode::kUnsupported,
         "device is 'cuda', but this libtorch has none; build against a CUDA libtorch or use cpu");
  }
  return at::Device(name);
}

// A run in progress: everything the steps need.
class Run {
 public:
  Run(const Recipe& recipe, const std::filesystem::path& out, const TrainEvents& events,
      const std::atomic<bool>* stop)
      : recipe_(recipe),
        out_(out),
        events_(events),
        stop_(stop),
        compute_(recipe.precision == "bf16" ? at::kBFloat16 : at::kFloat),
        tokenizer_(Tokenizer::load(recipe.data)),
        train_(TokenDataset::open(recipe.data, Split::kTrain)),
        validation_(TokenDataset::open(recipe.data, Split::kValidation)),
        loader_(train_, recipe.micro_batch_size, recipe.sequence_length,
                static_cast<uint64_t>(recipe.seed)),
        model_(
            model_config(recipe, tokenizer_.vocab_size(), tokenizer_.bos_id(), tokenizer_.eos_id()),
            static_cast<uint64_t>(recipe.seed), parse_device(recipe.device)),
        optimizer_(model_.parameters(), recipe),
        guard_(recipe.spike_deviations) {
    check_data();
    state_.recipe = to_json(recipe);
    state_.data_fingerprint = file_checksum(std::filesystem::path(recipe.data) / kManifestName);
  }

  void restore(const std::filesystem::path& checkpoint, const TrainingState& state) {
    if (state.data_fingerprint != state_.data_fingerprint) {
      fail(ErrorCode::kBadInput,
           "'{}' is another data set than the one that the run in '{}' was trained on; put that "
           "back "
           "or start a new run",
           recipe_.data, out_.string());
    }
    load_weights(model_, checkpoint);
    optimizer_.load(checkpoint / "optimizer.safetensors");
    state_ = state;
    guard_.restore(state.guard);
  }

  TrainResult train() {
    TrainingLog log(out_ / "log.jsonl", state_.log_bytes);
    log_ = &log;
    EventFile curves(out_ / kEventFile, state_.event_bytes);
    curves_ = &curves;
    start();
    while (state_.step < recipe_.steps) {
      if (stop_ != nullptr && *stop_) interrupt();
      step();
    }
    // First the weights, then what is said about them: nothing may lose a finished training.
    checkpoint();
    if (state_.last_eval.step != state_.step) evaluate();
    return finish();
  }

 private:
  // Everything that could stop the run at its first evaluation or in its middle, found before it.
  void check_data() const {
    if (train_.vocab_size() != tokenizer_.vocab_size()) {
      fail(ErrorCode::kBadInput,
           "'{}' was built with a vocabulary of {}, but its tokenizer has {}; build it again",
           recipe_.data, train_.vocab_size(), tokenizer_.vocab_size());
    }
    check_validation_split(validation_, recipe_.sequence_length, recipe_.eval_tokens);
    train_.verify();
    validation_.verify();
  }

  int64_t tokens_per_step() const { return recipe_.batch_size * recipe_.sequence_length; }

  void start() {
    RunInfo info;
    info.recipe = recipe_;
    info.config = model_.config();
    info.first_step = state_.step;
    info.tokens_per_step = tokens_per_step();
    info.epochs = loader_.epochs(static_cast<uint64_t>(recipe_.steps * micro_batches()));
    info.gemm_gflops = measured_gemm_gflops(compute_, model_.device());
    info.threads = at::get_num_threads();
    if (state_.log_bytes == 0) {
      log_->write({{"event", "start"},
                   {"recipe", state_.recipe},
                   {"parameters", model_.config().parameter_count()},
                   {"linear_parameters", model_.config().linear_parameter_count()},
                   {"threads", info.threads},
                   {"cpu", read_cpu_info().model},
                   {"gemm_gflops", info.gemm_gflops}});
    }
    if (events_.on_start) events_.on_start(info);
  }

  int64_t micro_batches() const { return recipe_.batch_size / recipe_.micro_batch_size; }

  // Forward and backward over the step's sequences; returns their mean loss.
  double accumulate() {
    const at::Tensor windows =
        at::empty({recipe_.micro_batch_size, recipe_.sequence_length + 1}, at::kLong);
    double loss = 0.0;
    for (int64_t i = 0; i < micro_batches(); ++i) {
      const int64_t index = state_.step * micro_batches() + i;
      loader_.load(static_cast<uint64_t>(index), windows.data_ptr<int64_t>());
      const at::Tensor share =
          model_.loss(windows.to(model_.device()), compute_) / static_cast<double>(micro_batches());
      torch::autograd::backward({share}, {});
      loss += share.item<double>();
    }
    return loss;
  }

  void step() {
    const Clock::time_point begin = Clock::now();
    const double loss = accumulate();
    const double norm = optimizer_.clip(recipe_.grad_clip);
    const LossGuard::Verdict verdict = guard_.judge(state_.step + 1, loss, norm);
    state_.guard = guard_.state();
    if (verdict == LossGuard::Verdict::kGiveUp) fail_diverged();
    const StepRates rates = rates_at(recipe_, state_.step);
    if (verdict == LossGuard::Verdict::kUse) {
      optimizer_.step(rates);
    } else {
      optimizer_.skip();
    }
    ++state_.step;
    const double seconds = seconds_since(begin);
    state_.seconds += seconds;
    if (verdict == LossGuard::Verdict::kSkip) {
      report_skip(loss, norm);
    } else {
      report_step(loss, norm, rates, seconds);
    }
    after_step();
  }

  // A checkpoint is known to be good when the loss of the step after it was.
  [[noreturn]] void fail_diverged() const {
    const auto good = newest_checkpoint(out_, guard_.state().last_good - 1);
    fail(ErrorCode::kBadInput,
         "the run in '{}' has diverged: the loss is no longer finite since step {}; start again in "
         "another --out with a lower learning_rate or more warmup_steps{}",
         out_.string(), guard_.state().last_good + 1,
         good ? fmt::format(" (the last good checkpoint is '{}')", good->string()) : "");
  }

  void report_skip(double loss, double norm) {
    const SkipReport report{state_.step, loss, norm, guard_.state().mean};
    log_->write({{"event", "skip"},
                 {"step", report.step},
                 {"loss", loss},
                 {"grad_norm", norm},
                 {"recent_loss", report.recent_loss}});
    if (events_.on_skip) events_.on_skip(report);
  }

  void report_step(double loss, double norm, const StepRates& rates, double seconds) {
    StepReport report;
    report.step = state_.step;
    report.steps = recipe_.steps;
    report.tokens = state_.step * tokens_per_step();
    report.loss = loss;
    report.grad_norm = norm;
    report.learning_rate = rates.learning_rate;
    report.weight_decay = rates.weight_decay;
    report.tokens_per_second = static_cast<double>(tokens_per_step()) / seconds;
    report.gflops =
        report.tokens_per_second * flops_per_token(model_.config(), recipe_.sequence_length) / 1e9;
    const double mean = state_.seconds / static_cast<double>(state_.step);
    report.eta_seconds = mean * static_cast<double>(recipe_.steps - state_.step);
    log_->write({{"event", "step"},
                 {"step", report.step},
                 {"tokens", report.tokens},
                 {"loss", loss},
                 {"grad_norm", norm},
                 {"learning_rate", rates.learning_rate},
                 {"weight_decay", rates.weight_decay},
                 {"tokens_per_second", report.tokens_per_second},
                 {"gflops", report.gflops}});
    curves_->add(report.step, {{"loss/train", loss},
                               {"optimizer/grad_norm", norm},
                               {"optimizer/learning_rate", rates.learning_rate},
                               {"speed/tokens_per_second", report.tokens_per_second}});
    if (events_.on_step) events_.on_step(report);
  }

  static bool due(int64_t step, int64_t every) { return every > 0 && step % every == 0; }

  void after_step() {
    if (due(state_.step, recipe_.eval_every)) evaluate();
    if (due(state_.step, recipe_.sample_every)) sample();
    // Weights that give bad losses are not worth keeping.
    if (due(state_.step, recipe_.checkpoint_every) && state_.guard.bad_in_row == 0) checkpoint();
  }

  void evaluate() {
    // Ctrl-C waits for the evaluation: a log without it would differ from an uninterrupted run's.
    const ValidationLoss loss =
        validation_loss(model_, validation_, recipe_.sequence_length, recipe_.micro_batch_size,
                        recipe_.eval_tokens, compute_, nullptr);
    if (!std::isfinite(loss.mean_nll)) fail_diverged();
    state_.last_eval = {state_.step, loss.mean_nll, loss.tokens};
    log_->write({{"event", "eval"},
                 {"step", state_.step},
                 {"validation_loss", loss.mean_nll},
                 {"perplexity", loss.perplexity()},
                 {"validation_tokens", loss.tokens}});
    curves_->add(state_.step, {{"loss/validation", loss.mean_nll}});
    if (events_.on_eval) {
      events_.on_eval({state_.step, loss.mean_nll, loss.perplexity(), loss.tokens});
    }
  }

  void sample() {
    std::vector<int32_t> ids = tokenizer_.encode_prompt(recipe_.prompt);
    const uint64_t seed = static_cast<uint64_t>(recipe_.seed + state_.step);
    const std::vector<int32_t> more =
        sample_tokens(model_, ids, recipe_.sample_tokens, tokenizer_.eos_id(), seed, compute_);
    ids.insert(ids.end(), more.begin(), more.end());
    const std::string text = tokenizer_.decode(ids);
    log_->write(
        {{"event", "sample"}, {"step", state_.step}, {"prompt", recipe_.prompt}, {"text", text}});
    if (events_.on_sample) events_.on_sample(state_.step, text);
  }

  void checkpoint() {
    log_->flush();
    curves_->flush();
    state_.log_bytes = log_->bytes();
    state_.event_bytes = curves_->bytes();
    save_checkpoint(out_, state_, model_, optimizer_, recipe_.data, recipe_.keep_checkpoints);
    if (events_.on_checkpoint) events_.on_checkpoint(out_ / "checkpoints");
  }

  [[noreturn]] void interrupt() {
    checkpoint();
    fail(ErrorCode::kInterrupted, "interrupted after step {} of {}; continue with --resume",
         state_.step, recipe_.steps);
  }

  TrainResult finish() {
    save_model(model_, out_);
    copy_tokenizer_files(recipe_.data, out_);
    TrainResult result;
    result.steps = state_.step;
    result.tokens = state_.step * tokens_per_step();
    result.validation_loss = state_.last_eval.validation_loss;
    result.perplexity = std::exp(result.validation_loss);
    result.parameters = model_.config().parameter_count();
    result.seconds = state_.seconds;
    result.step_ms = 1e3 * state_.seconds / static_cast<double>(state_.step);
    write_summary(result);
    return result;
  }

  void write_summary(const TrainResult& result) const {
    const CpuInfo cpu = read_cpu_info();
    const Json json = {{"family", recipe_.family},
                       {"parameters", result.parameters},
                       {"tokens", result.tokens},
                       {"steps", result.steps},
                       {"validation_loss", result.validation_loss},
                       {"validation_tokens", state_.last_eval.tokens},
                       {"perplexity", result.perplexity},
                       {"step_ms", result.step_ms},
                       {"seconds", result.seconds},
                       {"peak_rss_bytes", peak_rss_bytes()},
                       {"threads", at::get_num_threads()},
                       {"cpu", cpu.model},
                       {"memory_bytes", cpu.memory_bytes},
                       {"recipe", state_.recipe}};
    write_text_file(out_ / "training.json", json.dump(2) + "\n");
  }

  Recipe recipe_;
  std::filesystem::path out_;
  const TrainEvents& events_;
  const std::atomic<bool>* stop_;
  at::ScalarType compute_;
  Tokenizer tokenizer_;
  TokenDataset train_;
  TokenDataset validation_;
  BatchLoader loader_;
  Transformer model_;
  Optimizer optimizer_;
  LossGuard guard_;
  TrainingState state_;
  TrainingLog* log_ = nullptr;
  EventFile* curves_ = nullptr;
};

// libtorch's own setting does not reach an OpenBLAS that has threads of its own.
void set_openblas_threads(int threads) {
  using Setter = void (*)(int);
  void* symbol = ::dlsym(RTLD_DEFAULT, "openblas_set_num_threads");
  if (symbol != nullptr) reinterpret_cast<Setter>(symbol)(threads);
}

// Fixes the thread count in the recipe, so that a resumed run uses the same.
void settle_threads(Recipe& recipe) {
  if (recipe.threads == 0) recipe.threads = read_cpu_info().physical_cores;
  at::set_num_threads(static_cast<int>(recipe.threads));
  set_openblas_threads(static_cast<int>(recipe.threads));
}

TrainResult start_run(const Recipe& recipe, const std::filesystem::path& out,
                      const TrainEvents& events, const std::atomic<bool>* stop) {
  if (newest_checkpoint(out) || std::filesystem::exists(out / "model.safetensors")) {
    fail(ErrorCode::kUsage,
         "'{}' already holds a run; continue it with --resume or choose another --out",
         out.string());
  }
  Recipe ready = resolved(recipe);
  // The run may be resumed from another directory.
  ready.data = std::filesystem::absolute(ready.data).lexically_normal().string();
  settle_threads(ready);
  make_directories(out);
  return Run(ready, out, events, stop).train();
}

TrainResult resume_run(const std::filesystem::path& out, const TrainEvents& events,
                       const std::atomic<bool>* stop) {
  const auto checkpoint = newest_checkpoint(out);
  if (!checkpoint) {
    fail(ErrorCode::kUsage, "'{}' holds no checkpoint to resume from; start without --resume",
         out.string());
  }
  const TrainingState state = read_checkpoint(*checkpoint);
  Recipe recipe;
  apply_json(recipe, state.recipe, (*checkpoint / "state.json").string());
  if (state.step >= recipe.steps && std::filesystem::exists(out / "training.json")) {
    fail(ErrorCode::kUsage, "the run in '{}' is finished: all {} steps are done", out.string(),
         recipe.steps);
  }
  settle_threads(recipe);
  Run run(recipe, out, events, stop);
  run.restore(*checkpoint, state);
  return run.train();
}

// The first line of a libtorch error; the rest is a stack trace.
[[noreturn]] void rethrow_torch_error(const c10::Error& error) {
  std::string message = error.what_without_backtrace();
  message = message.substr(0, message.find('\n'));
  if (message.find("not enough memory") != std::string::npos ||
      message.find("out of memory") != std::string::npos) {
    fail(ErrorCode::kUsage,
         "there is not enough memory for this training; lower micro_batch_size, sequence_length, "
         "hidden_size or num_hidden_layers");
  }
  fail(ErrorCode::kInternal, "libtorch: {}", message);
}

}  // namespace

TrainResult pretrain(const Recipe& recipe, const std::filesystem::path& out, bool resume,
                     const TrainEvents& events, const std::atomic<bool>* stop) {
  try {
    return resume ? resume_run(out, events, stop) : start_run(recipe, out, events, stop);
  } catch (const c10::Error& error) {
    rethrow_torch_error(error);
  }
}

}  // namespace tercet::learn
