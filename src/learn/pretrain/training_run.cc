// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/training_run.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <array>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "learn/nn/model_io.h"
#include "learn/pretrain/checkpoint_directory.h"
#include "learn/pretrain/evaluate.h"
#include "learn/pretrain/initial_model.h"
#include "learn/pretrain/run_checks.h"
#include "learn/pretrain/run_summary.h"
#include "learn/pretrain/torch_session.h"
#include "tokenizer/tokenizer_files.h"
#include "version/version.h"

namespace tercet::learn {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool due(int64_t step, int64_t every) { return every > 0 && step % every == 0; }

ModelConfig run_config(const Recipe& recipe, const std::filesystem::path& shape,
                       const Tokenizer& tokenizer, Team team) {
  const ModelConfig config =
      shape.empty()
          ? model_config(recipe, tokenizer.vocab_size(), tokenizer.bos_id(), tokenizer.eos_id())
          : config_from(HfModel(shape), recipe, tokenizer.vocab_size());
  if (recipe.device == "cpu") {
    check_memory(recipe, config, team.ranks(), team.sharing());
  }
  return config;
}

}  // namespace

TrainingRun::TrainingRun(const Recipe& recipe, const std::filesystem::path& shape,
                         const std::filesystem::path& out, const TrainEvents& events,
                         const std::atomic<bool>* stop, Team team)
    : recipe_(recipe),
      out_(out),
      events_(events),
      stop_(stop),
      team_(team),
      compute_(recipe.precision == "bf16" ? at::kBFloat16 : at::kFloat),
      data_(recipe),
      model_(run_config(recipe, shape, data_.tokenizer(), team), static_cast<uint64_t>(recipe.seed),
             open_device(recipe.device, team)),
      optimizer_(model_.parameters(), recipe, team),
      guard_(recipe.spike_deviations),
      stats_(model_) {
  model_.set_recompute(recipe.recompute);
  state_.code_version = version();
  state_.ranks = team.ranks();
  state_.recipe = to_json(recipe);
  state_.data_fingerprint = data_.fingerprint();
}

void TrainingRun::begin_from(const std::filesystem::path& source) {
  check_same_tokenizer(source, data_.tokenizer_directory());
  // That of a checkpoint says whether its files are whole.
  if (std::filesystem::exists(source / "state.json")) read_checkpoint(source);
  const bool all = take_weights(model_, HfModel(source));
  const std::filesystem::path moments = source / "optimizer.safetensors";
  kept_optimizer_ = recipe_.keep_optimizer && all && std::filesystem::exists(moments);
  if (kept_optimizer_) optimizer_.load(moments);
}

void TrainingRun::restore(const std::filesystem::path& checkpoint, const TrainingState& state) {
  data_.check_fingerprint(state.data_fingerprint);
  if (team_.is_first()) load_weights(model_, checkpoint);
  optimizer_.load(checkpoint / "optimizer.safetensors");
  // Not in the checkpoints of older versions.
  const std::filesystem::path codes = checkpoint / kStatsFile;
  if (team_.is_first() && std::filesystem::exists(codes)) stats_.load(codes);
  state_ = state;
  state_.ranks = team_.ranks();
  state_.recipe = to_json(recipe_);
  state_.code_version = version();
  checkpoint_version_ = state.code_version;
  guard_.restore(state.guard);
  // The best one may be gone; and the link to it is one behind when the run was killed just then.
  const bool best_exists = std::filesystem::exists(checkpoint_path(out_, state_.best_eval.step));
  if (!team_.first_says(best_exists)) state_.best_eval = {};
  retain();
}

TrainResult TrainingRun::train(bool verify_data) {
  prepare(verify_data);
  optimizer_.share_first_values();
  start();
  while (state_.step < recipe_.steps) {
    const std::optional<Error> fault = take_batches();
    if (team_.any(fault || (stop_ != nullptr && *stop_))) end_early(team_.first_error(fault));
    step();
  }
  // First the weights, then what is said about them: nothing may lose a finished training.
  checkpoint();
  if (state_.last_eval.step != state_.step) {
    evaluate();
    retain();
  }
  return finish();
}

// Each machine may have its own copy of the data: its first rank reads it.
void TrainingRun::prepare(bool verify_data) {
  std::optional<Error> fault;
  try {
    if (team_.is_first()) check_disk(out_, recipe_, model_.config().parameter_count());
    if (team_.is_first()) {
      data_.verify(out_, verify_data, events_.on_verify, stop_);
    } else if (team_.is_first_here()) {
      data_.verify({}, verify_data, nullptr, stop_);
    }
  } catch (const Error& error) {
    fault = error;
  }
  team_.wait_for_all();  // reading everything takes longer than collective operations wait
  if (const auto first = team_.first_error(fault)) throw Error(*first);
  if (team_.is_first()) {
    report_ = std::make_unique<RunReport>(out_, state_.log_bytes, state_.event_bytes, events_);
  }
}

void TrainingRun::start() {
  data_.read_from(state_.step, team_);
  RunInfo info;
  info.recipe = recipe_;
  info.config = model_.config();
  info.data_fingerprint = state_.data_fingerprint;
  info.code_version = version();
  info.resumed = checkpoint_version_.has_value();
  info.checkpoint_version = checkpoint_version_.value_or("");
  info.first_step = state_.step;
  info.tokens_per_step = tokens_per_step();
  info.corpora = data_.describe();
  info.gemm_gflops = measured_gemm_gflops(compute_, model_.device());
  team_.sum({&info.gemm_gflops, 1});
  info.threads = at::get_num_threads();
  info.ranks = team_.ranks();
  info.kept_optimizer = kept_optimizer_;
  info.optimizer_bytes = optimizer_.state_bytes();
  if (report_) report_->start(info);
  if (state_.step == 0 && !info.resumed && recipe_.stats_every > 0) measure_weights();
}

ForwardMode TrainingRun::mode_after(int64_t done) const {
  ForwardMode mode(compute_, quantized_share_at(recipe_, done));
  mode.eight_bits = done < recipe_.a8_steps;
  return mode;
}

// All of the step's before it begins: what cannot be read then ends the run after a whole step.
std::optional<Error> TrainingRun::take_batches() {
  const double before = data_.waited_seconds();
  batches_.clear();
  try {
    for (int64_t i = 0; i < micro_batches() / team_.ranks(); ++i) {
      batches_.push_back(data_.next(model_.device(), stop_));
    }
  } catch (const Error& error) {
    return error;
  }
  data_seconds_ = data_.waited_seconds() - before;
  return std::nullopt;
}

// Forward and backward over this rank's share of the step's sequences. Each target that counts has
// the same weight in the gradient, 1 / (batch_size * sequence_length), however many of them a
// micro-batch or step has.
TrainingRun::Loss TrainingRun::accumulate() {
  const ForwardMode mode = mode_after(state_.step);
  const auto positions = static_cast<double>(recipe_.micro_batch_size * recipe_.sequence_length);
  // Summed where it is computed, so that a GPU is waited for once.
  const at::Tensor loss =
      at::zeros({}, at::TensorOptions().dtype(at::kDouble).device(model_.device()));
  double counted = 0;
  for (const MicroBatch& batch : batches_) {
    if (&batch == &batches_.back()) optimizer_.expect_gradients();
    const double weight = static_cast<double>(batch.targets) / positions;
    const at::Tensor share = model_.loss(batch.windows, mode, batch.documents) * weight /
                             static_cast<double>(micro_batches());
    torch::autograd::backward({share}, {});
    loss.add_(share.detach());
    counted += weight;
  }
  return {loss.item<double>(), counted};
}

void TrainingRun::step() {
  const Clock::time_point begin = Clock::now();
  const Loss own = accumulate();
  std::array<double, 3> sums = {own.sum, own.counted, optimizer_.squared_norm()};
  team_.sum(sums);  // all ranks judge by the same numbers
  const double loss = sums[0] / (sums[1] / static_cast<double>(micro_batches()));
  const double norm = std::sqrt(sums[2]);
  optimizer_.clip(norm, recipe_.grad_clip);
  // The loss of a model that is changed from outside says nothing about the next.
  if (mode_after(state_.step) != mode_after(state_.step - 1)) guard_.forget();
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
  StepTime time;
  time.data_seconds = data_seconds_;
  time.seconds = seconds_since(begin) + data_seconds_;
  state_.seconds += time.seconds;
  state_.times.data += data_seconds_;
  {
    const Stopwatch reporting(state_.times.report);
    if (verdict == LossGuard::Verdict::kSkip) {
      if (report_) report_->skip({state_.step, loss, norm, guard_.state().mean});
    } else {
      report_step(loss, norm, rates, time);
    }
  }
  after_step();
}

// A checkpoint is known to be good when the loss of the step after it was.
void TrainingRun::fail_diverged() const {
  const auto good = newest_checkpoint(out_, guard_.state().last_good - 1);
  fail(
      ErrorCode::kBadInput,
      "the run in '{}' has diverged: losses or gradients are no longer finite since step {}; start "
      "again in another --out with a lower learning_rate or more warmup_steps{}",
      out_.string(), guard_.state().last_good + 1,
      good ? fmt::format(" (the last good checkpoint is '{}')", good->string()) : "");
}

void TrainingRun::report_step(double loss, double norm, const StepRates& rates,
                              const StepTime& time) {
  if (!report_) return;
  StepReport report;
  report.step = state_.step;
  report.steps = recipe_.steps;
  report.tokens = state_.step * tokens_per_step();
  report.loss = loss;
  report.grad_norm = norm;
  report.learning_rate = rates.learning_rate;
  report.weight_decay = rates.weight_decay;
  report.quantized_share = mode_after(state_.step - 1).quantized;
  report.tokens_per_second = static_cast<double>(tokens_per_step()) / time.seconds;
  report.gflops =
      report.tokens_per_second * flops_per_token(model_.config(), recipe_.sequence_length) / 1e9;
  const RunTimes& times = state_.times;
  const double all = state_.seconds + times.report + times.evaluation + times.checkpoint;
  report.eta_seconds =
      all / static_cast<double>(state_.step) * static_cast<double>(recipe_.steps - state_.step);
  report.data_ms = 1e3 * time.data_seconds;
  report_->step(report);
}

void TrainingRun::after_step() {
  if (due(state_.step, recipe_.eval_every)) evaluate();
  if (due(state_.step, recipe_.stats_every)) measure_weights();
  if (report_ && due(state_.step, recipe_.sample_every)) sample();
  // Weights that give bad losses are not worth keeping.
  const bool good = state_.guard.bad_in_row == 0;
  const bool best = state_.best_eval.step == state_.step;
  if (best || (good && due(state_.step, recipe_.checkpoint_every))) checkpoint();
}

void TrainingRun::evaluate() {
  const Stopwatch evaluating(state_.times.evaluation);
  // Ctrl-C waits for the evaluation: a log without it would differ from an uninterrupted run's.
  EvalReport report = data_.evaluate(model_, compute_, team_);
  report.step = state_.step;
  if (!std::isfinite(report.validation_loss)) fail_diverged();
  state_.last_eval = {report.step, report.validation_loss, report.tokens, report.corpora};
  // Without checkpoints on the way there is nothing to keep the best one among.
  report.best =
      recipe_.checkpoint_every > 0 &&
      (state_.best_eval.step < 0 || report.validation_loss < state_.best_eval.validation_loss);
  if (report.best) state_.best_eval = state_.last_eval;
  const ForwardMode trained = mode_after(state_.step - 1);
  report.quantized_share = trained.quantized;
  if (trained != ForwardMode(compute_)) {
    report.loss_as_trained = data_.evaluate(model_, trained, team_).validation_loss;
  }
  if (report_) report_->eval(report);
}

// All ranks have the same weights, and one of them the log.
void TrainingRun::measure_weights() {
  const Stopwatch evaluating(state_.times.evaluation);
  if (report_) report_->stats(stats_.measure(state_.step));
}

void TrainingRun::sample() {
  const Stopwatch evaluating(state_.times.evaluation);
  std::vector<int32_t> ids = data_.tokenizer().encode_prompt(recipe_.prompt);
  // Behind the end of a document another one begins.
  if (ids.empty()) ids.push_back(data_.tokenizer().eos_id());
  const uint64_t seed = static_cast<uint64_t>(recipe_.seed + state_.step);
  const std::vector<int32_t> more =
      sample_tokens(model_, ids, recipe_.sample_tokens, data_.tokenizer().eos_id(), seed, compute_);
  ids.insert(ids.end(), more.begin(), more.end());
  const std::string text = data_.tokenizer().decode(ids);
  report_->sample(state_.step, recipe_.prompt, text);
}

void TrainingRun::checkpoint() {
  const Stopwatch saving(state_.times.checkpoint);
  if (report_) {
    report_->flush();
    state_.log_bytes = report_->log_bytes();
    state_.event_bytes = report_->event_bytes();
  }
  save_checkpoint(out_, state_, model_, optimizer_, stats_, data_.tokenizer_directory(), kept(),
                  team_);
  if (report_) report_->checkpoint(out_ / "checkpoints");
}

void TrainingRun::retain() const {
  if (!team_.is_first()) return;
  retain_checkpoints(out_, kept(), state_.best_eval.step);
}

// While losses are bad the newest checkpoint may hold broken weights: none before it is removed.
int64_t TrainingRun::kept() const {
  return state_.guard.bad_in_row > 0 ? INT64_MAX : recipe_.keep_checkpoints;
}

// After Ctrl-C, or because a rank's data cannot be read: all save what they have, which no second
// error may hide the first of.
void TrainingRun::end_early(const std::optional<Error>& fault) {
  std::string saved = fmt::format("the run is saved after step {} of {}, continue with --resume",
                                  state_.step, recipe_.steps);
  try {
    checkpoint();
    team_.wait_for_first();
  } catch (const Error& error) {
    if (!fault) throw;
    saved = fmt::format("nor could step {} be saved: {}", state_.step, error.what());
  }
  if (fault) fail(fault->code(), "{}; {}", fault->what(), saved);
  fail(ErrorCode::kInterrupted, "interrupted; {}", saved);
}

TrainResult TrainingRun::finish() {
  TrainResult result;
  result.steps = state_.step;
  result.tokens = state_.step * tokens_per_step();
  result.validation_loss = state_.last_eval.validation_loss;
  result.perplexity = std::exp(result.validation_loss);
  result.parameters = model_.config().parameter_count();
  result.seconds = state_.seconds;
  result.step_ms = 1e3 * state_.seconds / static_cast<double>(state_.step);
  if (team_.is_first()) {
    save_model(model_, out_);
    copy_tokenizer_files(data_.tokenizer_directory(), out_);
    write_summary(out_, state_, result);
  }
  team_.wait_for_first();
  return result;
}

}  // namespace tercet::learn
