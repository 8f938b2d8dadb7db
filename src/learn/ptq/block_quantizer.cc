// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/block_quantizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "core/error.h"

namespace tercet::learn {
namespace {

double share_of(const at::Tensor& codes, double code) {
  return codes.eq(code).to(at::kDouble).mean().item<double>();
}

LayerReport report_of(const std::string& name, const LayerResult& result, double seconds) {
  LayerReport out;
  const LowBitMatrix& matrix = result.matrix;
  out.name = name;
  out.rows = matrix.codes.size(0);
  out.cols = matrix.codes.size(1);
  out.bits_per_weight = matrix.bits_per_weight();
  out.shares = {share_of(matrix.codes, -1), share_of(matrix.codes, 0), share_of(matrix.codes, 1)};
  out.mean_scale = matrix.scales.to(at::kDouble).mean().item<double>();
  out.shrinkage = result.shrinkage;
  out.stages = result.stages;
  out.seconds = seconds;
  return out;
}

// The maps behind each input, in the order of Step.
struct Input {
  std::vector<std::string> maps;
  bool writes_residual;
};
const std::array<Input, 4>& inputs_of_block() {
  static const std::array<Input, 4> inputs = {{
      {{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}, false},
      {{"self_attn.o_proj"}, true},
      {{"mlp.gate_proj", "mlp.up_proj"}, false},
      {{"mlp.down_proj"}, true},
  }};
  return inputs;
}

}  // namespace

struct BlockQuantizer::Sides {
  const Block* quantized;
  const Block* original;
  const Block& of(size_t side) const { return side == 0 ? *quantized : *original; }
};

BlockQuantizer::BlockQuantizer(const Settings& settings, CalibrationState& state)
    : settings_(settings), state_(state) {}

void BlockQuantizer::check_stop() const {
  if (settings_.stop != nullptr && *settings_.stop) {
    fail(ErrorCode::kInterrupted, "interrupted; finished blocks are kept, --resume continues");
  }
}

std::vector<std::string> BlockQuantizer::chosen_maps(int64_t layer) const {
  std::vector<std::string> out;
  for (const std::string& map : linear_maps()) {
    if (settings_.chosen(fmt::format("model.layers.{}.{}", layer, map))) out.push_back(map);
  }
  return out;
}

void BlockQuantizer::gather(const Sides& sides, const std::string& map,
                            const std::vector<at::Tensor>& inputs,
                            const std::vector<at::Tensor>& residual, Moments& moments) const {
  const at::Tensor x_q = sides.quantized->seen_by(map, inputs[0]);
  const bool cross = settings_.layer.cross_term != 0 && inputs.size() > 1;
  if (!cross) return moments.add(x_q, {}, {}, {});
  if (residual.empty()) return moments.add(x_q, inputs[1], {}, {});
  moments.add(x_q, inputs[1], residual[1], residual[0]);
}

void BlockQuantizer::walk(Step step, const Sides& sides, Moments* fit, Moments* held_out) {
  const bool gathers = fit != nullptr;
  const Input* input =
      step == Step::kDone ? nullptr : &inputs_of_block()[static_cast<size_t>(step)];
  // A norm between map and residual stream would have to be undone.
  const bool absorbs = input != nullptr && input->writes_residual &&
                       settings_.config->norm != NormPlacement::kSandwich;
  for (size_t i = 0; i < state_.rows.size(); ++i) {
    check_stop();
    std::vector<at::Tensor> inputs;
    std::vector<at::Tensor> residual;
    for (size_t side = 0; side < state_.residual.size(); ++side) {
      const Block& block = sides.of(side);
      at::Tensor r = state_.residual[side].get(i);
      at::Tensor x;
      switch (step) {
        case Step::kAttention:
          if (gathers) x = block.attention_input(r);
          break;
        case Step::kOutput:
          x = block.mixed(block.attention_input(r));
          state_.inner[side].put(i, x);
          break;
        case Step::kFeedForward:
          r = block.after_attention(r, state_.inner[side].get(i));
          state_.residual[side].put(i, r);
          if (gathers) x = block.ffn_input(r);
          break;
        case Step::kDown:
          x = block.gated(block.ffn_input(r));
          state_.inner[side + state_.residual.size()].put(i, x);
          break;
        case Step::kDone:
          r = block.after_ffn(r, state_.inner[side + state_.residual.size()].get(i));
          state_.residual[side].put(i, r);
          break;
      }
      inputs.push_back(x);
      if (absorbs) residual.push_back(r);
    }
    if (!gathers || input == nullptr) continue;
    gather(sides, input->maps.front(), inputs, residual, i < state_.fit_windows ? *fit : *held_out);
  }
}

void BlockQuantizer::quantize_maps(const std::vector<std::string>& maps, const Moments& fit,
                                   const Moments& held_out, const std::string& prefix,
                                   BlockWeights& weights, std::vector<LayerReport>& reports) const {
  using Clock = std::chrono::steady_clock;
  for (const std::string& map : maps) {
    if (!settings_.chosen(prefix + map)) continue;
    check_stop();
    const Clock::time_point start = Clock::now();
    at::Tensor& weight = weights.tensors[map + ".weight"];
    const LayerResult result = quantize_layer(weight, fit, held_out, settings_.layer, prefix + map);
    // As it will be read back from the file.
    weight = result.matrix.values().to(at::kHalf).to(at::kFloat);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    reports.push_back(report_of(prefix + map, result, seconds));
  }
}

// The second moments of what enters each input's maps, with the block as it is.
std::array<Moments, 4> BlockQuantizer::moments_of_inputs(const Block& block) const {
  std::array<Moments, 4> out;
  for (size_t i = 0; i < state_.rows.size(); ++i) {
    check_stop();
    at::Tensor r = state_.residual[0].get(i);
    const at::Tensor x = block.attention_input(r);
    const at::Tensor mixed = block.mixed(x);
    r = block.after_attention(r, mixed);
    const at::Tensor y = block.ffn_input(r);
    const std::array<at::Tensor, 4> inputs = {x, mixed, y, block.gated(y)};
    for (size_t k = 0; k < inputs.size(); ++k) {
      out[k].add(block.seen_by(inputs_of_block()[k].maps.front(), inputs[k]), {}, {}, {});
    }
  }
  return out;
}

void BlockQuantizer::pass_whole(size_t side, const Block& block) {
  for (size_t i = 0; i < state_.rows.size(); ++i) {
    check_stop();
    at::Tensor r = state_.residual[side].get(i);
    r = block.after_attention(r, block.mixed(block.attention_input(r)));
    state_.residual[side].put(i, block.after_ffn(r, block.gated(block.ffn_input(r))));
  }
}

// Thresholds and scales of the chosen maps under the moments of their inputs, where training
// starts.
std::map<std::string, LayerResult> BlockQuantizer::starting_points(
    const std::string& prefix, const BlockWeights& weights,
    const std::array<Moments, 4>& moments) const {
  LayerOptions options = settings_.layer;
  options.cross_term = 0;
  std::map<std::string, LayerResult> out;
  for (size_t i = 0; i < moments.size(); ++i) {
    for (const std::string& map : inputs_of_block()[i].maps) {
      if (!settings_.chosen(prefix + map)) continue;
      check_stop();
      out[map] = quantize_layer(weights.at(map + ".weight"), moments[i], {}, options, prefix + map);
    }
  }
  return out;
}

BlockTrainingReport BlockQuantizer::train_maps(int64_t layer,
                                               const std::vector<std::string>& low_bit,
                                               BlockWeights& weights,
                                               std::map<std::string, LayerResult>& results) const {
  BlockTrainingTask task;
  task.config = settings_.config;
  task.angles = settings_.angles;
  task.layer = layer;
  task.low_bit = low_bit;
  task.windows = state_.rows.size();
  task.input = [this](size_t window) { return state_.residual[0].get(window); };
  task.target = [this](size_t window) { return state_.residual[1].get(window); };
  task.stop = settings_.stop;
  std::map<std::string, LowBitMatrix> maps;
  for (const auto& [map, result] : results) maps[map] = result.matrix;
  const BlockTrainingReport report = train_block(task, settings_.training, weights, maps);
  for (auto& [map, result] : results) result.matrix = maps.at(map);
  // Norms through what the file holds.
  const double offset = settings_.config->zero_centered_norms ? 1 : 0;
  for (auto& [name, tensor] : weights.tensors) {
    if (name.find("norm") != std::string::npos) tensor = (tensor - offset) + offset;
  }
  return report;
}

std::vector<LayerReport> BlockQuantizer::train(int64_t layer, BlockWeights& weights) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  const BlockWeights before = weights;
  const std::vector<std::string> chosen = chosen_maps(layer);
  const std::vector<std::string> low_bit =
      settings_.int8_inputs ? chosen : std::vector<std::string>();
  const std::array<Moments, 4> moments =
      moments_of_inputs(Block(*settings_.config, layer, before, *settings_.angles, low_bit));
  std::map<std::string, LayerResult> results = starting_points(prefix, before, moments);
  pass_whole(1, Block(*settings_.config, layer, before, *settings_.angles, {}));
  BlockTrainingReport trained;
  if (!chosen.empty()) trained = train_maps(layer, low_bit, weights, results);
  pass_whole(0, Block(*settings_.config, layer, weights, *settings_.angles, low_bit));
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::vector<LayerReport> reports;
  for (size_t i = 0; i < moments.size(); ++i) {
    for (const std::string& map : inputs_of_block()[i].maps) {
      const auto found = results.find(map);
      if (found == results.end()) continue;
      const std::string name = prefix + map;
      const LayerTarget target =
          layer_target(before.at(map + ".weight"), moments[i], 0, 0, name.c_str());
      LayerResult& result = found->second;
      result.stages.push_back({"training", relative_error(result.matrix.values(), target)});
      reports.push_back(report_of(name, result, seconds / static_cast<double>(results.size())));
      reports.back().block_loss = trained.last_loss;
    }
  }
  return reports;
}

std::vector<LayerReport> BlockQuantizer::quantize(int64_t layer, BlockWeights& weights) {
  const at::NoGradGuard no_gradients;
  if (settings_.training.steps > 0) return train(layer, weights);
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  const BlockWeights original = weights;
  const std::vector<std::string> low_bit =
      settings_.int8_inputs ? chosen_maps(layer) : std::vector<std::string>();
  const Block in_full(*settings_.config, layer, original, *settings_.angles, {});
  const Block in_few(*settings_.config, layer, weights, *settings_.angles, low_bit);
  const Sides sides{&in_few, &in_full};
  std::vector<LayerReport> reports;
  for (size_t i = 0; i < inputs_of_block().size(); ++i) {
    Moments fit;
    Moments held_out;
    const std::vector<std::string>& maps = inputs_of_block()[i].maps;
    const bool wanted = std::any_of(maps.begin(), maps.end(), [&](const std::string& map) {
      return settings_.chosen(prefix + map);
    });
    walk(static_cast<Step>(i), sides, wanted ? &fit : nullptr, wanted ? &held_out : nullptr);
    quantize_maps(maps, fit, held_out, prefix, weights, reports);
  }
  walk(Step::kDone, sides, nullptr, nullptr);
  return reports;
}

void BlockQuantizer::advance(int64_t layer, const BlockWeights& original,
                             const BlockWeights& quantized) {
  const at::NoGradGuard no_gradients;
  const std::vector<std::string> low_bit =
      settings_.int8_inputs ? chosen_maps(layer) : std::vector<std::string>();
  const Block in_full(*settings_.config, layer, original, *settings_.angles, {});
  const Block in_few(*settings_.config, layer, quantized, *settings_.angles, low_bit);
  const Sides sides{&in_few, &in_full};
  for (const Step step :
       {Step::kAttention, Step::kOutput, Step::kFeedForward, Step::kDown, Step::kDone}) {
    walk(step, sides, nullptr, nullptr);
  }
}

}  // namespace tercet::learn
