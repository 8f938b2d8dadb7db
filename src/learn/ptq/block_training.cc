// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/block_training.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "learn/ptq/adam.h"

namespace tercet::learn {
namespace {

constexpr double kSoftShare = 0.8;

bool is_norm(const std::string& name) { return name.find("norm") != std::string::npos; }

// A matrix while it is trained: scales exp(log_scale), codes from latent weights over their scale.
struct TrainedMap {
  LowBitMatrix* matrix;
  at::Tensor latent;     // [rows, cols]
  at::Tensor log_scale;  // [rows, groups], or [1, 1] with one scale for the tensor

  at::Tensor values(double sharpness, bool hard) const {
    const at::Tensor codes = hard ? hard_ternary(latent) : soft_ternary(latent, sharpness);
    const at::Tensor scales = log_scale.exp().expand_as(matrix->scales);
    return codes * at_columns(scales, matrix->column_group);
  }
};

TrainedMap trained_map(LowBitMatrix& matrix, const at::Tensor& weight) {
  // A group without codes has scale 0; it starts where absmean would.
  const at::Tensor fallback = weight.abs().mean().clamp_min(1e-8);
  const at::Tensor scales = at::where(matrix.scales > 0, matrix.scales, fallback);
  matrix.scales = scales.contiguous();
  TrainedMap out{&matrix, {}, {}};
  out.latent = (weight / at_columns(scales, matrix.column_group)).contiguous();
  const bool one = matrix.grouping.scope == packing::ScaleScope::kTensor;
  out.log_scale = (one ? scales.narrow(0, 0, 1) : scales).log().contiguous();
  out.latent.set_requires_grad(true);
  out.log_scale.set_requires_grad(true);
  return out;
}

class BlockTraining {
 public:
  BlockTraining(const BlockTrainingTask& task, const BlockTrainingOptions& options,
                BlockWeights& weights, std::map<std::string, LowBitMatrix>& maps)
      : task_(task),
        options_(options),
        weights_(weights),
        order_(0x7074712Du + static_cast<uint64_t>(task.layer)) {
    for (auto& [name, matrix] : maps) {
      maps_.emplace(name, trained_map(matrix, weights.at(name + ".weight")));
      adam_.add(maps_.at(name).latent, options.latent_rate);
      adam_.add(maps_.at(name).log_scale, options.scale_rate);
    }
    for (auto& [name, tensor] : weights_.tensors) {
      if (!is_norm(name)) continue;
      tensor = tensor.clone().set_requires_grad(true);
      adam_.add(tensor, options.scale_rate);
    }
  }

  BlockTrainingReport run() {
    const int tenth = std::max(options_.steps / 10, 1);
    BlockTrainingReport report;
    for (int step = 0; step < options_.steps; ++step) {
      if (task_.stop != nullptr && *task_.stop) {
        fail(ErrorCode::kInterrupted, "interrupted; finished blocks are kept, --resume continues");
      }
      const double loss = train_step(step);
      if (step < tenth) report.first_loss += loss / tenth;
      if (step >= options_.steps - tenth) report.last_loss += loss / tenth;
    }
    finish();
    return report;
  }

 private:
  double train_step(int step) {
    const double progress = static_cast<double>(step) / static_cast<double>(options_.steps);
    const bool hard = progress >= kSoftShare;
    const double sharpness = std::max(options_.sharpest * progress / kSoftShare, 1e-2);
    BlockWeights now = weights_;
    for (const auto& [name, map] : maps_) {
      now.tensors[name + ".weight"] = map.values(sharpness, hard);
    }
    const Block block(*task_.config, task_.layer, now, *task_.angles, task_.low_bit);
    at::Tensor wrong;
    double size = 0;
    for (int i = 0; i < options_.windows_per_step; ++i) {
      const size_t window = order_.below(task_.windows);
      const at::Tensor target = task_.target(window);
      at::Tensor r = task_.input(window);
      r = block.after_attention(r, block.mixed(block.attention_input(r)));
      r = block.after_ffn(r, block.gated(block.ffn_input(r)));
      const at::Tensor part = (r - target).square().sum();
      wrong = wrong.defined() ? wrong + part : part;
      size += target.square().sum().item<double>();
    }
    const at::Tensor loss = wrong / std::max(size, 1e-30);
    loss.backward();
    // Falls to nothing along a cosine.
    adam_.step(0.5 * (1 + std::cos(std::acos(-1.0) * progress)));
    return loss.item<double>();
  }

  void finish() {
    const at::NoGradGuard no_gradients;
    for (auto& [name, map] : maps_) {
      LowBitMatrix& matrix = *map.matrix;
      matrix.codes = hard_ternary(map.latent).contiguous();
      matrix.scales = map.log_scale.exp().expand_as(matrix.scales).contiguous();
      round_to_stored(matrix);
      weights_.tensors[name + ".weight"] = matrix.values();
    }
    for (auto& [name, tensor] : weights_.tensors) tensor = tensor.detach();
  }

  const BlockTrainingTask& task_;
  const BlockTrainingOptions& options_;
  BlockWeights& weights_;
  std::map<std::string, TrainedMap> maps_;
  Adam adam_;
  Rng order_;
};

}  // namespace

at::Tensor soft_ternary(const at::Tensor& w, double sharpness) {
  const at::Tensor sum = at::tanh(sharpness * (w - 0.5)) + at::tanh(sharpness * (w + 0.5));
  return sum / (2 * std::tanh(sharpness));
}

at::Tensor hard_ternary(const at::Tensor& w) { return w + (w.round().clamp(-1, 1) - w).detach(); }

BlockTrainingReport train_block(const BlockTrainingTask& task, const BlockTrainingOptions& options,
                                BlockWeights& weights, std::map<std::string, LowBitMatrix>& maps) {
  const at::AutoGradMode gradients(true);
  return BlockTraining(task, options, weights, maps).run();
}

}  // namespace tercet::learn
