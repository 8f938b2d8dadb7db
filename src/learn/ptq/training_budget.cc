// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/training_budget.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
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
constexpr double kStartingTokens = 32768;
// Of text, and what it may cost to carry it through a model that is trained, once as it was and
// once as it has become.
constexpr int64_t kFewestText = 65536;
constexpr int64_t kMostText = 262144;
constexpr double kTextBudget = 1.2e14;

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

void settle_text(const ModelConfig& config, PtqOptions& options) {
  if (options.calibration_tokens != kAuto) return;
  options.calibration_tokens = kFewestText;
  const bool trains = options.block_training.steps != 0 || options.end_to_end.steps != 0;
  if (options.layer.method != PtqMethod::kPtBitnet || !trains) return;
  const double flops = 4 * static_cast<double>(config.linear_parameter_count());
  options.calibration_tokens =
      std::clamp(static_cast<int64_t>(kTextBudget / flops), kFewestText, kMostText);
}

double starting_share(const std::vector<int64_t>& rows) {
  const int64_t tokens = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  return std::min(kStartingTokens / static_cast<double>(tokens), 1.0);
}

// All blocks, what the scales of groups give, both heads, and what a window leaves in all layers
// for the way back (gradients come as that goes). In bf16 operators keep less, and probabilities in
// bf16 alone.
uint64_t whole_model_bytes(const ModelConfig& config, const PtqOptions& options, int64_t longest) {
  const bool bf16 = options.uses_bf16;
  const bool plain_attention = bf16 && !config.qk_norm && !config.attention_bias &&
                               config.sliding_window == 0 && config.attention_scale == 0.0f &&
                               config.rotary_dimensions() == config.head_dim;
  const double hidden = static_cast<double>(config.hidden_size);
  const double inner = static_cast<double>(config.intermediate_size);
  const double token =
      (bf16 ? 7 * hidden + 4.5 * inner : 12 * hidden + 8 * inner) +
      (plain_attention ? 0.5 : 3) * static_cast<double>(config.num_attention_heads * longest);
  const double maps = static_cast<double>(config.linear_parameter_count());
  const bool groups = options.layer.grouping.groups(config.hidden_size) > 1;
  const double heads = (bf16 ? 1 : 2) * static_cast<double>(config.vocab_size) * hidden;
  const double window =
      static_cast<double>(config.num_hidden_layers) * static_cast<double>(longest) * token;
  return static_cast<uint64_t>(sizeof(float) * ((groups ? 3 : 1.5) * maps + heads + window));
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
  const uint64_t whole = whole_model_bytes(config, options, longest);
  const uint64_t block = block_training_bytes(config, options, longest);
  const bool fits_memory = whole <= options.max_memory;
  if (training.steps == kAuto && block > options.max_memory) {
    if (training.sweeps > 0) {
      fail(ErrorCode::kUsage,
           "--sweeps trains blocks again, but one takes {} MiB to train and --max-memory leaves {}",
           block >> 20, options.max_memory >> 20);
    }
    training.steps = 0;
  }
  const double slowness = options.uses_bf16 ? 1 : kSlownessOfF32;
  settle_blocks(config, rows, kBlockBudget / slowness, whole + block <= options.max_memory,
                training);
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
