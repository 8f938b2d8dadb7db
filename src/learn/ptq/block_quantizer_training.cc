// SPDX-License-Identifier: Apache-2.0
// The half of BlockQuantizer that trains whole blocks.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "learn/ptq/block_quantizer.h"
#include "learn/ptq/end_to_end.h"
#include "learn/ptq/ranks.h"
#include "learn/ptq/training_budget.h"
#include "learn/ptq/window_order.h"

namespace tercet::learn {
namespace {

constexpr uint64_t kSeed = 0x7074712D;
constexpr double kSoftestOfSweep = 10;
constexpr double kRateOfSweep = 0.5;

// Later sweeps start from codes that are good already: nearly hard, at a lower rate.
BlockTrainingOptions of_sweep(BlockTrainingOptions options, int sweep) {
  if (sweep == 0) return options;
  options.softest = kSoftestOfSweep;
  options.latent_rate *= kRateOfSweep;
  return options;
}

void store_norms(const ModelConfig& config, BlockWeights& weights) {
  for (auto& [name, tensor] : weights.tensors) {
    if (is_norm(name)) tensor = stored_norm(config, tensor);
  }
}

}  // namespace

// The second moments of what enters each input's maps, with the block as it is, over a share of the
// windows.
std::array<Moments, 4> BlockQuantizer::moments_of_inputs(const Block& block, double share) const {
  const StageScope stage(settings_.clock, kMomentsStage);
  std::array<Moments, 4> out;
  for (const size_t i : windows_here()) {
    if (!is_in_sample(i, share)) continue;
    check_stop();
    const auto [inputs, between] = block.inputs(state_.residual[0].get(i));
    const std::array<at::Tensor, 4> streams = {at::Tensor(), between, at::Tensor(),
                                               block.after_ffn(between, inputs[3])};
    for (size_t k = 0; k < inputs.size(); ++k) {
      at::Tensor seen = block.seen_by(inputs_of_block()[k].maps, inputs[k]);
      if (streams[k].defined() && settings_.config->norm != NormPlacement::kSandwich) {
        seen = seen * token_weights(settings_.layer.token_weights, streams[k]).sqrt();
      }
      out[k].add(seen, {}, {}, {}, settings_.moments_compute);
    }
  }
  for (Moments& moments : out) sum_moments(settings_.team, moments);
  return out;
}

void BlockQuantizer::pass_whole(size_t side, const Block& block) {
  const StageScope stage(settings_.clock, kForwardStage);
  for (const size_t i : windows_here()) {
    check_stop();
    state_.residual[side].put(i, block.whole(state_.residual[side].get(i)));
  }
}

// Thresholds and scales of the chosen maps under the moments of their inputs, where training
// starts. It begins at the weights over these scales, whatever flips would make of the codes.
std::map<std::string, LayerResult> BlockQuantizer::starting_points(
    const std::string& prefix, const BlockWeights& weights,
    const std::array<Moments, 4>& moments) const {
  const StageScope stage(settings_.clock, kSolverStage);
  LayerOptions options = settings_.layer;
  options.cross_term = 0;
  options.flip_rounds = 0;
  std::map<std::string, LayerResult> out;
  for (size_t i = 0; i < moments.size(); ++i) {
    for (const std::string& map : inputs_of_block()[i].maps) {
      if (!settings_.chosen(prefix + map)) continue;
      check_stop();
      out[map] = quantize_layer_shared(settings_.team, weights.at(map + ".weight"), moments[i], {},
                                       options, prefix + map);
    }
  }
  return out;
}

BlockTrainingTask BlockQuantizer::training_task(int64_t layer, int sweep) const {
  BlockTrainingTask task;
  task.config = settings_.config;
  task.angles = settings_.angles;
  task.layer = layer;
  task.low_bit = low_bit_maps(layer);
  task.compute = settings_.compute;
  task.seed = kSeed + static_cast<uint64_t>(layer) + (static_cast<uint64_t>(sweep) << 32);
  task.rows = state_.rows;
  task.input = [this](size_t window) { return state_.residual[0].get(window); };
  task.stop = settings_.stop;
  task.team = settings_.team;
  if (settings_.progress) {
    task.progress = [this, layer](int step, int steps, double loss) {
      settings_.progress(layer, step, steps, loss);
    };
  }
  task.take = [this](const std::vector<size_t>& drawn) {
    const bool output = settings_.training.loss == BlockLoss::kOutput;
    return take_windows(
        settings_.team, state_.rows, drawn,
        {&state_.residual[0], output ? &state_.residual[1] : &settings_.predictions->streams()});
  };
  if (settings_.training.loss == BlockLoss::kPredictions) {
    task.loss = [this, layer](size_t window, const at::Tensor& r) {
      return (*settings_.predictions)(layer, window, r);
    };
    task.size = [this](size_t window) { return static_cast<double>(state_.rows[window]); };
    return task;
  }
  task.loss = [this](size_t window, const at::Tensor& r) {
    const at::Tensor wanted = state_.residual[1].get(window);
    return ((r - wanted).square() * token_weights(settings_.layer.token_weights, wanted)).sum();
  };
  task.size = [this](size_t window) {
    const at::Tensor wanted = state_.residual[1].get(window);
    return (wanted.square() * token_weights(settings_.layer.token_weights, wanted))
        .sum()
        .item<double>();
  };
  return task;
}

BlockTrainingReport BlockQuantizer::train_maps(int64_t layer, int sweep, BlockWeights& weights,
                                               std::map<std::string, LayerResult>& results) {
  const StageScope stage(settings_.clock, kTrainingStage);
  std::map<std::string, LowBitMatrix> maps;
  for (const auto& [map, result] : results) maps[map] = result.matrix;
  const BlockTrainingReport report = train_block(
      training_task(layer, sweep), of_sweep(settings_.training, sweep), weights, maps, latents_);
  for (auto& [map, result] : results) result.matrix = maps.at(map);
  store_norms(*settings_.config, weights);
  return report;
}

// Gains are trained too: a map's error is that of what it does to the inputs of the source.
double BlockQuantizer::error_of(int64_t layer, const std::string& map, const BlockWeights& original,
                                const BlockWeights& quantized,
                                const std::array<Moments, 4>& moments) const {
  const StageScope stage(settings_.clock, kSolverStage);
  const auto& inputs = inputs_of_block();
  const auto input = std::find_if(inputs.begin(), inputs.end(), [&](const BlockInput& of) {
    return std::find(of.maps.begin(), of.maps.end(), map) != of.maps.end();
  });
  const auto k = static_cast<size_t>(input - inputs.begin());
  const std::string name = map + ".weight";
  const LayerTarget target = layer_target(original.at(name), moments[k], 0, 0,
                                          fmt::format("model.layers.{}.{}", layer, map).c_str());
  return relative_error(
      seen_through_gains(quantized.at(name), *settings_.config, k, original, quantized), target);
}

std::vector<LayerReport> BlockQuantizer::train(int64_t layer, BlockWeights& weights) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  equalize_inputs(layer, weights);
  const BlockWeights before = weights;
  const std::vector<std::string> low_bit = low_bit_maps(layer);
  const std::array<Moments, 4> moments =
      moments_of_inputs(block_of(layer, before, low_bit), starting_share(state_.rows));
  std::map<std::string, LayerResult> results = starting_points(prefix, before, moments);
  pass_whole(1, block_of(layer, before, {}));
  BlockTrainingReport trained;
  latents_.clear();
  if (!results.empty()) trained = train_maps(layer, 0, weights, results);
  pass_whole(0, block_of(layer, weights, low_bit));
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::vector<LayerReport> reports;
  for (size_t i = 0; i < moments.size(); ++i) {
    for (const std::string& map : inputs_of_block()[i].maps) {
      const auto found = results.find(map);
      if (found == results.end()) continue;
      LayerResult& result = found->second;
      result.stages.push_back({"training", error_of(layer, map, before, weights, moments)});
      reports.push_back(report_of(prefix + map, before.at(map + ".weight"), result,
                                  seconds / static_cast<double>(results.size())));
      reports.back().block_loss = trained.last_loss;
    }
  }
  return reports;
}

void BlockQuantizer::retrain(int64_t layer, BlockWeights original, int sweep, BlockWeights& weights,
                             LatentWeights& latents, std::vector<LayerReport>& reports) {
  using Clock = std::chrono::steady_clock;
  const at::NoGradGuard no_gradients;
  const Clock::time_point start = Clock::now();
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  equalize_inputs(layer, original);
  pass_whole(1, block_of(layer, original, {}));
  std::map<std::string, LayerResult> results;
  for (const auto& [map, latent] : latents) {
    results[map].matrix = codes_of(weights.at(map + ".weight"), settings_.layer.grouping);
  }
  latents_ = latents;
  BlockTrainingReport trained;
  if (!results.empty()) trained = train_maps(layer, sweep, weights, results);
  latents = latents_;
  pass_whole(0, block_of(layer, weights, low_bit_maps(layer)));
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  for (LayerReport& report : reports) {
    const std::string map = report.name.substr(prefix.size());
    const LayerReport now =
        report_of(report.name, original.at(map + ".weight"), results.at(map), 0);
    report.shares = now.shares;
    report.mean_scale = now.mean_scale;
    report.block_loss = trained.last_loss;
    report.seconds += seconds / static_cast<double>(reports.size());
  }
}

void BlockQuantizer::measure(int64_t layer, BlockWeights original, const BlockWeights& quantized,
                             double share, const char* stage, std::span<LayerReport> reports) {
  const at::NoGradGuard no_gradients;
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  equalize_inputs(layer, original);
  const std::vector<std::string> low_bit = low_bit_maps(layer);
  const std::array<Moments, 4> moments =
      moments_of_inputs(block_of(layer, original, low_bit), share);
  for (LayerReport& report : reports) {
    const std::string map = report.name.substr(prefix.size());
    report.stages.push_back({stage, error_of(layer, map, original, quantized, moments)});
  }
  if (layer + 1 == settings_.config->num_hidden_layers) return;
  // Only equalization looks at the full-precision side.
  if (state_.has_float()) pass_whole(1, block_of(layer, original, {}));
  pass_whole(0, block_of(layer, quantized, low_bit));
}

}  // namespace tercet::learn
