// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/block_quantizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "core/error.h"
#include "learn/ptq/equalize.h"
#include "learn/ptq/ranks.h"

namespace tercet::learn {

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

std::vector<std::string> BlockQuantizer::low_bit_maps(int64_t layer) const {
  return settings_.int8_inputs ? chosen_maps(layer) : std::vector<std::string>();
}

Block BlockQuantizer::block_of(int64_t layer, const BlockWeights& weights,
                               std::vector<std::string> low_bit) const {
  return {*settings_.config, layer, weights, *settings_.angles, std::move(low_bit),
          settings_.compute};
}

// What this rank holds.
std::vector<size_t> BlockQuantizer::windows_here() const {
  std::vector<size_t> out;
  if (state_.residual.empty()) return out;
  for (size_t i = 0; i < state_.rows.size(); ++i) {
    if (state_.residual[0].holds(i)) out.push_back(i);
  }
  return out;
}

void BlockQuantizer::gather(const Sides& sides, const std::vector<std::string>& maps,
                            const Seen& seen, Moments& moments) const {
  const StageScope stage(settings_.clock, kMomentsStage);
  const auto weighted = [&](const at::Tensor& x) {
    return seen.weights.defined() ? x * seen.weights.sqrt() : x;
  };
  const at::Tensor x_q = weighted(sides.quantized->seen_by(maps, seen.inputs[0]));
  const bool cross = settings_.layer.cross_term != 0 && seen.inputs.size() > 1;
  const at::ScalarType compute = settings_.moments_compute;
  if (!cross) return moments.add(x_q, {}, {}, {}, compute);
  const at::Tensor x_f = weighted(seen.inputs[1]);
  if (seen.residual.empty()) return moments.add(x_q, x_f, {}, {}, compute);
  moments.add(x_q, x_f, weighted(seen.residual[1]), weighted(seen.residual[0]), compute);
}

at::Tensor BlockQuantizer::carry(Step step, size_t window, size_t side, const Block& block,
                                 bool gathers, at::Tensor& r) {
  ActivationStore& residual = state_.residual[side];
  ActivationStore& mixed = state_.inner[side];
  ActivationStore& gated = state_.inner[side + state_.residual.size()];
  r = residual.get(window);
  at::Tensor x;
  switch (step) {
    case Step::kAttention:
      if (gathers) x = block.attention_input(r);
      break;
    case Step::kOutput:
      x = block.mixed(block.attention_input(r));
      mixed.put(window, x);
      break;
    case Step::kFeedForward:
      r = block.after_attention(r, mixed.get(window));
      residual.put(window, r);
      if (gathers) x = block.ffn_input(r);
      break;
    case Step::kDown:
      x = block.gated(block.ffn_input(r));
      gated.put(window, x);
      break;
    case Step::kDone:
      r = block.after_ffn(r, gated.get(window));
      residual.put(window, r);
      break;
  }
  return x;
}

void BlockQuantizer::walk(Step step, const Sides& sides, Moments* fit, Moments* held_out) {
  const StageScope stage(settings_.clock, kForwardStage);
  const bool gathers = fit != nullptr;
  const BlockInput* input =
      step == Step::kDone ? nullptr : &inputs_of_block()[static_cast<size_t>(step)];
  // A norm between map and residual stream would have to be undone.
  const bool absorbs = input != nullptr && input->writes_residual &&
                       settings_.config->norm != NormPlacement::kSandwich;
  const TokenWeights kind = settings_.layer.token_weights;
  for (const size_t i : windows_here()) {
    check_stop();
    Seen seen;
    for (size_t side = 0; side < state_.residual.size(); ++side) {
      const Block& block = sides.of(side);
      at::Tensor r;
      seen.inputs.push_back(carry(step, i, side, block, gathers, r));
      if (!absorbs) continue;
      seen.residual.push_back(r);
      // The last side is the source; where only the quantized one walks, these maps are still its.
      if (!gathers || kind == TokenWeights::kEqual || side + 1 < state_.residual.size()) continue;
      const at::Tensor& x = seen.inputs.back();
      seen.weights = token_weights(
          kind, step == Step::kOutput ? block.after_attention(r, x) : block.after_ffn(r, x));
    }
    if (gathers && input != nullptr) {
      gather(sides, input->maps, seen, i < state_.fit_windows ? *fit : *held_out);
    }
  }
}

void BlockQuantizer::quantize_maps(const std::vector<std::string>& maps, Moments fit,
                                   const Moments& held_out, const std::string& prefix,
                                   BlockWeights& weights, std::vector<LayerReport>& reports) const {
  using Clock = std::chrono::steady_clock;
  const StageScope stage(settings_.clock, kSolverStage);
  std::vector<std::string> chosen;
  for (const std::string& map : maps) {
    if (settings_.chosen(prefix + map)) chosen.push_back(map);
  }
  for (const std::string& map : chosen) {
    check_stop();
    const Clock::time_point start = Clock::now();
    at::Tensor& weight = weights.tensors[map + ".weight"];
    const bool is_last = map == chosen.back();
    const LayerResult result =
        quantize_layer_shared(settings_.team, weight, is_last ? std::move(fit) : fit, held_out,
                              settings_.layer, prefix + map);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    reports.push_back(report_of(prefix + map, weight, result, seconds));
    // As it will be read back from the file.
    weight = result.matrix.values().to(at::kHalf).to(at::kFloat);
    // The next work asks for other sizes; what is free between what stays would come on top.
    ::malloc_trim(0);
  }
}

// Under what the full-precision model sees, where that walks along.
void BlockQuantizer::equalize_inputs(int64_t layer, BlockWeights& weights) const {
  if (settings_.layer.equalization == 0) return;
  const StageScope stage(settings_.clock, kForwardStage);
  const Block block = block_of(layer, weights, {});
  InputMagnitudes squares;
  for (size_t k = 0; k < squares.size(); ++k) {
    const at::Tensor& weight = weights.at(inputs_of_block()[k].maps.front() + ".weight");
    squares[k] = at::zeros({weight.size(1)}, at::kDouble);
  }
  for (const size_t i : windows_here()) {
    check_stop();
    const auto inputs = block.inputs(state_.residual.back().get(i)).inputs;
    for (size_t k = 0; k < inputs.size(); ++k) {
      squares[k] += inputs[k].square().sum(0, false, at::kDouble);
    }
  }
  InputMagnitudes magnitudes;
  for (size_t k = 0; k < magnitudes.size(); ++k) {
    settings_.team.sum(squares[k]);
    // Maps that are not chosen stay as they are, so all that the factors would go into must be.
    std::vector<std::string> maps = inputs_of_block()[k].maps;
    if (k == 1) maps.push_back("self_attn.v_proj");
    if (k == 3) maps.push_back("mlp.up_proj");
    const bool wanted = std::all_of(maps.begin(), maps.end(), [&](const std::string& map) {
      return settings_.chosen(fmt::format("model.layers.{}.{}", layer, map));
    });
    if (wanted) magnitudes[k] = squares[k].sqrt().to(at::kFloat);
  }
  equalize(*settings_.config, magnitudes, settings_.layer.equalization, weights);
}

std::vector<LayerReport> BlockQuantizer::quantize(int64_t layer, BlockWeights& weights) {
  const at::NoGradGuard no_gradients;
  if (settings_.training.steps > 0) return train(layer, weights);
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  equalize_inputs(layer, weights);
  const BlockWeights original = weights;
  const Block in_full = block_of(layer, original, {});
  const Block in_few = block_of(layer, weights, low_bit_maps(layer));
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
    for (Moments* moments : {&fit, &held_out}) sum_moments(settings_.team, *moments);
    quantize_maps(maps, std::move(fit), held_out, prefix, weights, reports);
  }
  walk(Step::kDone, sides, nullptr, nullptr);
  return reports;
}

void BlockQuantizer::advance(int64_t layer, BlockWeights original, const BlockWeights& quantized) {
  const at::NoGradGuard no_gradients;
  equalize_inputs(layer, original);
  const Block in_full = block_of(layer, original, {});
  const Block in_few = block_of(layer, quantized, low_bit_maps(layer));
  if (settings_.training.steps > 0) {
    pass_whole(1, in_full);
    pass_whole(0, in_few);
    return;
  }
  const Sides sides{&in_few, &in_full};
  for (const Step step :
       {Step::kAttention, Step::kOutput, Step::kFeedForward, Step::kDown, Step::kDone}) {
    walk(step, sides, nullptr, nullptr);
  }
}

}  // namespace tercet::learn
