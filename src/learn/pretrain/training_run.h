// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "learn/nn/transformer.h"
#include "learn/pretrain/checkpoint.h"
#include "learn/pretrain/loss_guard.h"
#include "learn/pretrain/recipe.h"
#include "learn/pretrain/run_data.h"
#include "learn/pretrain/run_report.h"
#include "learn/pretrain/sharded_optimizer.h"
#include "learn/pretrain/train_events.h"
#include "learn/pretrain/weight_stats.h"

namespace tercet::learn {

// A run in progress: the loop and everything that its steps need.
class TrainingRun {
 public:
  // `recipe` is resolved, its data absolute, its threads settled; `events` and `stop` (may be null)
  // must outlive the run. The model has the shape of that in `shape`, or, where this is empty, the
  // recipe's. Of a team, only rank 0 writes in `out`. Throws as pretrain()
  // does.
  TrainingRun(const Recipe& recipe, const std::filesystem::path& shape,
              const std::filesystem::path& out, const TrainEvents& events,
              const std::atomic<bool>* stop, Team team);

  // Takes weights, and the optimizer's state if the recipe wants it, from an HF directory or a
  // checkpoint of another run (Recipe::init_from).
  void begin_from(const std::filesystem::path& source);

  // Goes on from a checkpoint of this run, whose state.json is `state`.
  void restore(const std::filesystem::path& checkpoint, const TrainingState& state);

  // verify_data: reads shards that were found whole before, too.
  TrainResult train(bool verify_data);

 private:
  int64_t tokens_per_step() const { return recipe_.batch_size * recipe_.sequence_length; }
  int64_t micro_batches() const { return recipe_.batch_size / recipe_.micro_batch_size; }

  void prepare(bool verify_data);
  void start();
  // How the step after `done` steps computes.
  ForwardMode mode_after(int64_t done) const;
  // The error that keeps the next step's data from being read, if there is one.
  std::optional<Error> take_batches();
  struct Loss {
    double sum = 0;      // this rank's part of the mean over the step's tokens
    double counted = 0;  // micro-batches' worth of targets in it
  };
  Loss accumulate();
  void step();
  struct StepTime {
    double seconds = 0;
    double data_seconds = 0;  // of them, waiting for data
  };
  void report_step(double loss, double norm, const StepRates& rates, const StepTime& time);
  void after_step();
  void evaluate();
  void measure_weights();
  void sample();
  void checkpoint();
  void retain() const;
  int64_t kept() const;
  [[noreturn]] void fail_diverged() const;
  [[noreturn]] void end_early(const std::optional<Error>& fault);
  TrainResult finish();

  Recipe recipe_;
  std::filesystem::path out_;
  const TrainEvents& events_;
  const std::atomic<bool>* stop_;
  Team team_;
  at::ScalarType compute_;
  RunData data_;
  Transformer model_;
  ShardedOptimizer optimizer_;
  LossGuard guard_;
  bool kept_optimizer_ = false;
  WeightStats stats_;
  TrainingState state_;
  std::vector<MicroBatch> batches_;                // of the step to come
  double data_seconds_ = 0;                        // that they were waited for
  std::optional<std::string> checkpoint_version_;  // of the program that wrote what was restored
  std::unique_ptr<RunReport> report_;              // from the first step on: it cuts the files
};

}  // namespace tercet::learn
