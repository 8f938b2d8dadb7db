// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/plan_time.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "learn/ptq/block_shapes.h"
#include "learn/ptq/calibration.h"
#include "learn/ptq/moments.h"
#include "learn/ptq/stage_clock.h"
#include "learn/ptq/training_budget.h"

namespace tercet::learn {
namespace {

constexpr double kFloat = sizeof(float);
// Of the codes of a map, so many are flipped in all rounds together, each with a row of the Hessian
// to be read; and a round that changes nothing reads codes, scales and products.
constexpr double kFlippedShare = 0.25;
constexpr double kRoundsTaken = 0.7;  // most maps settle before the last
constexpr double kPassesOfRound = 6;
// Of a matrix of the map's size: by each threshold tried, and by the rest.
constexpr double kPassesOfPoint = 8;
constexpr double kPassesOfRest = 40;
// Reading turns bf16 into f32, a value at a time.
constexpr double kPassesOfRead = 6;
constexpr double kPassesOfWrite = 4;

// What a training step moves, in passes: of its weights, on the way from latent weights to values,
// back and through Adam; of codes to values and back where groups have scales, or of codes that
// products read; and of a block's activations.
constexpr double kPassesOfLatents = 16;
constexpr double kPassesOfScaled = 8;
constexpr double kPassesOfCodes = 1;
constexpr double kPassesOfGradients = 3;

double sum_bytes(double cols) { return cols > kWidestDouble ? 4 : 8; }

// What one block's activations of all windows take, written or read once.
double activation_floats(const ModelConfig& config, const std::vector<int64_t>& rows) {
  const double hidden = static_cast<double>(config.hidden_size);
  const double inner = static_cast<double>(config.intermediate_size);
  double floats = 0;
  for (const int64_t count : rows) {
    floats += static_cast<double>(count) * (20 * hidden + 8 * inner) +
              6 * static_cast<double>(config.num_attention_heads * count * count);
  }
  return floats;
}

// A block's work, layer for layer the same.
class BlockTimes {
 public:
  BlockTimes(const ModelConfig& config, const PtqOptions& options, const std::vector<int64_t>& rows,
             const PlanHardware& hardware)
      : config_(config),
        options_(options),
        rows_(rows),
        ranks_(hardware.ranks),
        trains_(options.block_training.steps > 0),
        cross_(options.layer.cross_term != 0 && !trains_),
        sides_(rows.empty() ? 0 : (needs_both_sides(options) ? 2 : 1)),
        tokens_(static_cast<double>(std::accumulate(rows.begin(), rows.end(), int64_t{0}))),
        shapes_(block_shapes(config, options)) {
    for (const MapShape& shape : shapes_) weights_ += shape.weights();
  }

  PlanStage read() const {
    PlanStage stage{.name = kReadStage};
    stage.disk_bytes = 2 * weights_;
    stage.memory_bytes = kPassesOfRead * kFloat * weights_;
    return stage;
  }

  PlanStage write() const {
    PlanStage stage{.name = kWriteStage};
    stage.disk_bytes = 2 * weights_;
    stage.memory_bytes = kPassesOfWrite * kFloat * weights_;
    return stage;
  }

  // In each rank, of its windows.
  PlanStage forward() const {
    PlanStage stage{.name = kForwardStage};
    const double passes = sides_ + (options_.layer.equalization > 0 ? 1 : 0);
    stage.flops = passes * block_flops(config_, rows_) / ranks_;
    stage.memory_bytes = sides_ * kFloat * activation_floats(config_, rows_) / ranks_;
    return with_products(stage, options_.products_in_bf16());
  }

  // Each rank sums over its windows; then all sums are added and everybody gets them.
  PlanStage moments() const {
    PlanStage stage{.name = kMomentsStage};
    if (rows_.empty()) return stage;
    const double share = (trains_ ? starting_share(rows_) : 1) / ranks_;  // of the windows
    for (const MapShape& shape : shapes_) {
      if (!shape.last_of_input) continue;
      const double layers = trains_ ? 1 : shape.gathers;
      double elements = layers * shape.cols * shape.cols * (cross_ ? 2 : 1);
      if (cross_ && shape.writes_residual) elements += layers * shape.weights();
      stage.flops += 2 * tokens_ * elements * share;
      const double windows = static_cast<double>(rows_.size()) * share;
      stage.memory_bytes += windows * elements * (2 * sum_bytes(shape.cols) + 2 * kFloat);
      stage.network_bytes += elements * sum_bytes(shape.cols) * 2 * (ranks_ - 1) / ranks_;
    }
    if (trains_) stage.flops += block_flops(config_, rows_) * share;  // to get at the inputs
    return with_products(stage, options_.moments_in_bf16());
  }

  // The rows of a map are shared among ranks; what is done to its second moments is not.
  PlanStage solver() const {
    PlanStage stage{.name = kSolverStage};
    for (const MapShape& shape : shapes_) {
      PlanStage map{.name = kSolverStage};
      add_map(shape, map);
      add_share(map, shape.chosen, stage);
    }
    return stage;
  }

 private:
  static PlanStage with_products(PlanStage stage, bool in_bf16) {
    if (in_bf16) stage.bf16_flops = stage.flops;
    return stage;
  }

  static void add_share(const PlanStage& part, double share, PlanStage& sum) {
    sum.flops += share * part.flops;
    sum.double_flops += share * part.double_flops;
    sum.memory_bytes += share * part.memory_bytes;
    sum.network_bytes += share * part.network_bytes;
  }

  // Training starts without flips.
  int flip_rounds() const { return trains_ ? 0 : options_.layer.flip_rounds; }

  // Products with the Hessian per map, by what the method does.
  double products() const {
    const LayerOptions& layer = options_.layer;
    const double notes = 6;  // errors for the report
    switch (layer.method) {
      case PtqMethod::kAbsmean:
      case PtqMethod::kTwn:
      case PtqMethod::kSvid:
        return 0;
      case PtqMethod::kPt2Llm:
        return 4;
      case PtqMethod::kArb:
        return 16;
      default:
        break;
    }
    const double flips = flip_rounds() > 0 ? 2 + 0.4 * kRoundsTaken * flip_rounds() : 0;
    return layer.grid_points + 2 + notes + (layer.feedback ? 3 : 0) + flips;
  }

  // Products of whole maps with the Hessian, in each rank: errors behind training and at the end.
  double errors_measured() const {
    return (trains_ ? 2 : 0) + (options_.changes_blocks_later() && !rows_.empty() ? 2 : 0);
  }

  void add_map(const MapShape& shape, PlanStage& stage) const {
    const LayerOptions& layer = options_.layer;
    const double square = shape.cols * shape.cols;
    const double weights = shape.weights() / ranks_;
    stage.flops += 2 * weights * shape.cols * products();
    stage.flops += 2 * shape.weights() * shape.cols * errors_measured();
    stage.memory_bytes += kFloat * weights * kPassesOfRest;
    if (products() == 0) return;
    stage.memory_bytes += kFloat * weights * kPassesOfPoint * layer.grid_points;
    stage.memory_bytes += 10 * kFloat * square;
    if (cross_ || layer.feedback) {
      const double solved = square * shape.cols / 3 + 2 * weights * shape.cols;
      const double product = 2 * weights * shape.cols;
      stage.flops += solved + product;
      stage.double_flops += solved + (sum_bytes(shape.cols) > kFloat ? product : 0);
    }
    if (flip_rounds() > 0) {
      stage.memory_bytes += kFlippedShare * weights * shape.cols * kFloat;
      stage.memory_bytes += kRoundsTaken * flip_rounds() * kPassesOfRound * kFloat * weights;
    }
    // Codes and values go to all ranks.
    stage.network_bytes += 2 * kFloat * shape.weights() * (ranks_ - 1) / ranks_;
  }

  const ModelConfig& config_;
  const PtqOptions& options_;
  const std::vector<int64_t>& rows_;
  double ranks_;
  bool trains_;
  bool cross_;
  double sides_;
  double tokens_;
  std::array<MapShape, 7> shapes_;
  double weights_ = 0;
};

// Activations that steps of so many tokens move through all layers, forward and backward.
double step_bytes(const ModelConfig& config, const std::vector<int64_t>& rows, double steps,
                  int64_t tokens) {
  if (rows.empty()) return 0;
  const double all = static_cast<double>(std::accumulate(rows.begin(), rows.end(), int64_t{0}));
  tokens = std::max(tokens, *std::max_element(rows.begin(), rows.end()));
  return kPassesOfGradients * kFloat * static_cast<double>(config.num_hidden_layers) *
         activation_floats(config, rows) * steps * static_cast<double>(tokens) / all;
}

// Gradients of a block's weights travel once a step, there and back.
PlanStage training(const ModelConfig& config, const PtqOptions& options,
                   const std::vector<int64_t>& rows, double ranks) {
  const BlockTrainingOptions& training = options.block_training;
  PlanStage stage{.name = kTrainingStage};
  stage.flops = training_flops(config, training, rows) / ranks;
  if (options.products_in_bf16()) stage.bf16_flops = stage.flops;
  if (training.steps <= 0) return stage;
  const double weights = static_cast<double>(config.linear_parameter_count());
  const double steps = static_cast<double>(training.steps) * (1 + std::max(training.sweeps, 0));
  stage.memory_bytes = steps * weights * kFloat * kPassesOfLatents +
                       step_bytes(config, rows, steps, training.tokens_per_step) / ranks;
  stage.network_bytes = steps * weights * kFloat * 2 * (ranks - 1) / ranks;
  return stage;
}

PlanStage tuning(const ModelConfig& config, const PtqOptions& options,
                 const std::vector<int64_t>& rows, double ranks) {
  const EndToEndOptions& tuning = options.end_to_end;
  PlanStage stage{.name = kTuningStage};
  stage.flops = tuning_flops(config, tuning, rows) / ranks;
  if (options.uses_bf16) stage.bf16_flops = stage.flops;
  if (tuning.steps <= 0) return stage;
  const double weights = static_cast<double>(config.linear_parameter_count());
  // One scale a row is trained at the outputs; only groups need gradients of whole matrices.
  const bool groups = options.layer.grouping.groups(config.hidden_size) > 1;
  const double passes = groups ? kPassesOfScaled : kPassesOfCodes;
  stage.memory_bytes = tuning.steps * weights * kFloat * passes +
                       step_bytes(config, rows, tuning.steps, tuning.tokens_per_step) / ranks;
  const double sent = groups ? weights : weights / static_cast<double>(config.hidden_size);
  stage.network_bytes = tuning.steps * sent * kFloat * 2 * (ranks - 1) / ranks;
  return stage;
}

// How often all blocks go through a stage. Later sweeps read, pass and write them again, and solve
// none; what changes blocks later ends with a round that measures and writes them once more.
double times(const PlanStage& stage, const PtqOptions& options, const std::vector<int64_t>& rows) {
  const bool is_measured = options.changes_blocks_later() && !rows.empty();
  const bool trains = options.block_training.steps > 0;
  const double sweeps = 1 + std::max(options.block_training.sweeps, 0);
  if (stage.name == kSolverStage) return 1;  // what is measured later is in it
  if (stage.name == kMomentsStage) {
    if (!is_measured) return 1;
    return 1 + (trains ? 1 : starting_share(rows));
  }
  if (!is_measured) return sweeps;
  if (stage.name != kForwardStage) return sweeps + 1;
  // One of the two sides, or for equalization everything.
  return sweeps + (options.layer.equalization > 0 ? 1 : starting_share(rows) / 2);
}

double seconds_of(const PlanStage& stage, const PlanHardware& hardware) {
  return 1e-9 *
         ((stage.flops - stage.bf16_flops + stage.double_flops) / hardware.gflops +
          stage.bf16_flops / hardware.bf16_gflops + stage.memory_bytes / hardware.memory_gbps +
          stage.disk_bytes / hardware.disk_gbps + stage.network_bytes / hardware.network_gbps);
}

}  // namespace

std::vector<PlanStage> plan_stages(const ModelConfig& config, const PtqOptions& options,
                                   const std::vector<int64_t>& rows, const PlanHardware& hardware) {
  const BlockTimes block(config, options, rows, hardware);
  std::vector<PlanStage> stages = {block.read(), block.forward(), block.moments(), block.solver(),
                                   block.write()};
  const double layers = static_cast<double>(config.num_hidden_layers);
  for (PlanStage& stage : stages) {
    for (double* part : {&stage.flops, &stage.double_flops, &stage.bf16_flops, &stage.memory_bytes,
                         &stage.disk_bytes, &stage.network_bytes}) {
      *part *= layers * times(stage, options, rows);
    }
  }
  // The source's own last stream is found by a pass before the others, in f32.
  if (options.uses_predictions()) {
    PlanStage& forward = *std::find_if(stages.begin(), stages.end(), [](const PlanStage& stage) {
      return stage.name == kForwardStage;
    });
    forward.flops += layers * block_flops(config, rows) / hardware.ranks;
  }
  stages.push_back(training(config, options, rows, hardware.ranks));
  stages.push_back(tuning(config, options, rows, hardware.ranks));
  for (PlanStage& stage : stages) stage.seconds = seconds_of(stage, hardware);
  return stages;
}

}  // namespace tercet::learn
