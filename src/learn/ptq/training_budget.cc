// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/training_budget.h"

#include <algorithm>
#include <numeric>

#include "learn/ptq/plan_memory.h"

namespace tercet::learn {
namespace {

// Of products in bf16, a quarter of an hour each on two cores of 2024; in f32 they take so much
// longer. Tuning has fewer weights to move and most of its operations in fast products.
constexpr double kBlockBudget = 3e14;
constexpr double kTuningBudget = 5.5e14;
constexpr double kSlownessOfF32 = 4;
// For each sweep; with those towards predictions a block is trained twice.
constexpr int kOutputSteps = 400;
constexpr int kPredictionSteps = 200;
constexpr int kSweeps = 1;
constexpr int kTuningSteps = 600;
constexpr int kFewestTuningSteps = 50;
constexpr int64_t kFewestTokens = 512;
constexpr int64_t kMostTokens = 2048;

// The part of the windows that a step of so many tokens takes.
double share_of(const std::vector<int64_t>& rows, int64_t tokens) {
  const int64_t all = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  const int64_t longest = *std::max_element(rows.begin(), rows.end());
  return static_cast<double>(std::max(tokens, longest)) / static_cast<double>(all);
}

double head_flops(const ModelConfig& config, const std::vector<int64_t>& rows) {
  const double tokens = static_cast<double>(std::accumulate(rows.begin(), rows.end(), int64_t{0}));
  return 2 * tokens * static_cast<double>(config.vocab_size) *
         static_cast<double>(config.hidden_size);
}

int64_t tokens_for(double budget, double flops_of_one_token) {
  const double tokens = budget / flops_of_one_token;
  return std::clamp(static_cast<int64_t>(tokens), kFewestTokens, kMostTokens);
}

// Whether training towards predictions, with all that is open at its most, is affordable.
bool predictions_fit(const ModelConfig& config, const std::vector<int64_t>& rows, double budget,
                     BlockTrainingOptions training) {
  training.loss = BlockLoss::kPredictions;
  if (training.steps == kAuto) training.steps = kPredictionSteps;
  if (training.tokens_per_step == 0) training.tokens_per_step = kMostTokens;
  if (training.sweeps == kAuto) training.sweeps = kSweeps;
  return training_flops(config, training, rows) <= budget;
}

void settle_blocks(const ModelConfig& config, const std::vector<int64_t>& rows, double budget,
                   bool fits_memory, BlockTrainingOptions& training) {
  if (training.steps == 0) {  // nothing that the result does not depend on may differ
    training.loss = BlockLoss::kOutput;
    training.sweeps = std::max(training.sweeps, 0);
    return;
  }
  if (training.loss == BlockLoss::kAuto) {
    const bool predictions = fits_memory && predictions_fit(config, rows, budget, training);
    training.loss = predictions ? BlockLoss::kPredictions : BlockLoss::kOutput;
  }
  if (training.steps == kAuto) {
    const bool predictions = training.loss == BlockLoss::kPredictions;
    training.steps = predictions ? kPredictionSteps : kOutputSteps;
  }
  if (training.sweeps == kAuto) {
    training.sweeps = training.loss == BlockLoss::kPredictions ? kSweeps : 0;
  }
  if (training.tokens_per_step != 0) return;
  const double longest = static_cast<double>(*std::max_element(rows.begin(), rows.end()));
  training.tokens_per_step = 1;  // a step of the longest window, the least that there is
  const double least = training_flops(config, training, rows) / longest;
  training.tokens_per_step = least > 0 ? tokens_for(budget, least) : kFewestTokens;
}

}  // namespace

double block_flops(const ModelConfig& config, const std::vector<int64_t>& rows) {
  const double weights = static_cast<double>(config.linear_parameter_count()) /
                         static_cast<double>(config.num_hidden_layers);
  const double heads = static_cast<double>(config.num_attention_heads * config.head_dim);
  double flops = 0;
  for (const int64_t count : rows) {
    const double tokens = static_cast<double>(count);
    flops += tokens * (2 * weights + 4 * tokens * heads);
  }
  return flops;
}

// A step costs a forward and twice that backward for each of its windows. Towards predictions each
// block is seen through those behind it, and the head is passed for both models.
double training_flops(const ModelConfig& config, const BlockTrainingOptions& training,
                      const std::vector<int64_t>& rows) {
  if (rows.empty() || training.steps <= 0) return 0;
  const double layers = static_cast<double>(config.num_hidden_layers);
  double flops = 3 * layers * block_flops(config, rows);
  if (training.loss == BlockLoss::kPredictions) {
    flops = flops * (layers + 1) / 2 + 3 * layers * head_flops(config, rows);
  }
  return flops * training.steps * (1 + training.sweeps) * share_of(rows, training.tokens_per_step);
}

// The quantized model runs forward and backward; the head is part of it, and once more for the
// source.
double tuning_flops(const ModelConfig& config, const EndToEndOptions& tuning,
                    const std::vector<int64_t>& rows) {
  if (rows.empty() || tuning.steps <= 0) return 0;
  const double layers = static_cast<double>(config.num_hidden_layers);
  return tuning.steps * share_of(rows, tuning.tokens_per_step) *
         (3 * layers * block_flops(config, rows) + 3 * head_flops(config, rows));
}

// The model, the values that the scales give with their gradients, and the activations of one
// window through all layers.
uint64_t whole_model_bytes(const ModelConfig& config, int64_t longest) {
  const int64_t window = config.num_hidden_layers * longest *
                             (12 * config.hidden_size + 8 * config.intermediate_size +
                              3 * config.num_attention_heads * longest) +
                         4 * longest * config.vocab_size;
  return sizeof(float) * static_cast<uint64_t>(4 * config.parameter_count() + window);
}

void settle_training(const ModelConfig& config, const std::vector<int64_t>& rows,
                     PtqOptions& options) {
  BlockTrainingOptions& training = options.block_training;
  EndToEndOptions& tuning = options.end_to_end;
  const bool trains = options.layer.method == PtqMethod::kPtBitnet && !rows.empty();
  if (!trains && training.steps == kAuto) training.steps = 0;
  if (!trains && tuning.steps == kAuto) tuning.steps = 0;
  if (rows.empty() || training.steps == 0) training.sweeps = std::max(training.sweeps, 0);
  if (rows.empty()) return;
  const int64_t longest = *std::max_element(rows.begin(), rows.end());
  const bool fits_memory = whole_model_bytes(config, longest) <= options.max_memory;
  if (training.steps == kAuto && block_training_bytes(config, longest) > options.max_memory) {
    training.steps = 0;
  }
  const double slowness = options.trains_in_bf16 ? 1 : kSlownessOfF32;
  settle_blocks(config, rows, kBlockBudget / slowness, fits_memory, training);
  const bool open_steps = tuning.steps == kAuto;
  if (open_steps) tuning.steps = fits_memory ? kTuningSteps : 0;
  if (tuning.steps == 0) return;
  if (tuning.tokens_per_step == 0) {
    tuning.tokens_per_step = 1;
    const double least = tuning_flops(config, tuning, rows) / static_cast<double>(longest);
    tuning.tokens_per_step =
        least > 0 ? tokens_for(kTuningBudget / slowness, least) : kFewestTokens;
  }
  const double wanted = tuning_flops(config, tuning, rows) * slowness / kTuningBudget;
  if (!open_steps || wanted <= 1) return;
  tuning.steps = std::max(static_cast<int>(tuning.steps / wanted), kFewestTuningSteps);
}

}  // namespace tercet::learn
