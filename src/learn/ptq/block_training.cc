// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/block_training.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "learn/ptq/adam.h"
#include "learn/ptq/ranks.h"
#include "learn/ptq/scaled_ternary.h"
#include "learn/ptq/window_order.h"

namespace tercet::learn {
namespace {

constexpr double kSoftShare = 0.8;

// A matrix while it is trained: scales exp(log_scale), codes from latent weights over their scale.
struct TrainedMap {
  LowBitMatrix* matrix;
  at::Tensor latent;     // [rows, cols]
  at::Tensor log_scale;  // [rows, groups], or [1, 1] with one scale for the tensor

  at::Tensor values(double sharpness) const {
    return scaled_ternary(latent, log_scale, matrix->grouping, sharpness);
  }
};

TrainedMap trained_map(LowBitMatrix& matrix, const at::Tensor& weight, const at::Tensor& latent) {
  // A group without codes has scale 0; it starts where absmean would.
  const at::Tensor fallback = weight.abs().mean().clamp_min(1e-8);
  const at::Tensor scales = at::where(matrix.scales > 0, matrix.scales, fallback);
  matrix.scales = scales.contiguous();
  TrainedMap out{&matrix, {}, {}};
  out.latent = latent.defined() ? latent.clone()
                                : (weight / at_columns(scales, matrix.column_group)).contiguous();
  const bool one = matrix.grouping.scope == packing::ScaleScope::kTensor;
  out.log_scale = (one ? scales.narrow(0, 0, 1) : scales).log().contiguous();
  out.latent.set_requires_grad(true);
  out.log_scale.set_requires_grad(true);
  return out;
}

class BlockTraining {
 public:
  BlockTraining(const BlockTrainingTask& task, const BlockTrainingOptions& options,
                BlockWeights& weights, std::map<std::string, LowBitMatrix>& maps,
                LatentWeights& latents)
      : task_(task),
        options_(options),
        weights_(weights),
        latents_(latents),
        order_(task.rows, task.seed) {
    for (auto& [name, matrix] : maps) {
      maps_.emplace(name, trained_map(matrix, weights.at(name + ".weight"), latents[name]));
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
      check_finite(std::isfinite(loss), step);
      if (task_.progress) task_.progress(step + 1, options_.steps, loss);
      if (step < tenth) report.first_loss += loss / tenth;
      if (step >= options_.steps - tenth) report.last_loss += loss / tenth;
    }
    finish();
    return report;
  }

 private:
  double train_step(int step) {
    const double progress = static_cast<double>(step) / static_cast<double>(options_.steps);
    const double way = progress / kSoftShare;
    const double sharpness =
        way >= 1 ? kHardTernary
                 : std::max(options_.softest + (options_.sharpest - options_.softest) * way, 1e-2);
    // Gradients are gathered at the values, so that what makes these of the latent weights is
    // passed once a step, not once a window.
    std::vector<at::Tensor> values;
    std::vector<at::Tensor> leaves;
    BlockWeights now = weights_;
    for (const auto& [name, map] : maps_) {
      values.push_back(map.values(sharpness));
      leaves.push_back(values.back().detach().set_requires_grad(true));
      now.tensors[name + ".weight"] = leaves.back();
    }
    const double loss = pass_windows(now);
    sum_all_gradients(leaves);
    for (size_t i = 0; i < values.size(); ++i) values[i].backward(leaves[i].grad());
    // Falls to nothing along a cosine.
    adam_.step(0.5 * (1 + std::cos(std::acos(-1.0) * progress)));
    return loss;
  }

  void sum_all_gradients(std::vector<at::Tensor> leaves) const {
    for (const auto& [name, tensor] : weights_.tensors) {
      if (tensor.requires_grad()) leaves.push_back(tensor);
    }
    sum_gradients(task_.team, leaves);
  }

  // One window in memory at a time.
  double pass_windows(const BlockWeights& now) {
    const Block block(*task_.config, task_.layer, now, *task_.angles, task_.low_bit, task_.compute);
    const std::vector<size_t> drawn = order_.draw(options_.tokens_per_step);
    const std::vector<size_t> taken = task_.take ? task_.take(drawn) : drawn;
    double size = 1e-30;
    for (const size_t window : taken) size += task_.size(window);
    task_.team.sum({&size, 1});
    double sum = 0;
    for (const size_t window : taken) {
      const at::Tensor loss = task_.loss(window, block.whole(task_.input(window))) / size;
      loss.backward();
      sum += loss.item<double>();
    }
    task_.team.sum({&sum, 1});
    return sum;
  }

  void check_finite(bool is_finite, int step) const {
    if (is_finite) return;
    fail(ErrorCode::kBadInput,
         "the training of block {} came to numbers that are not finite in step {}; try --precision "
         "f32, or leave it out with --no-training",
         task_.layer, step + 1);
  }

  void finish() {
    const at::NoGradGuard no_gradients;
    for (auto& [name, map] : maps_) {
      LowBitMatrix& matrix = *map.matrix;
      matrix.codes = ternary_codes(map.latent);
      matrix.scales = map.log_scale.exp().expand_as(matrix.scales).contiguous();
      check_finite(
          matrix.scales.isfinite().all().item<bool>() && map.latent.isfinite().all().item<bool>(),
          options_.steps - 1);
      round_to_stored(matrix);
      latents_[name] = map.latent.detach();
    }
    for (auto& [name, tensor] : weights_.tensors) {
      tensor = tensor.detach();
      if (is_norm(name)) check_finite(tensor.isfinite().all().item<bool>(), options_.steps - 1);
    }
    share_result();
    for (const auto& [name, map] : maps_) {
      weights_.tensors[name + ".weight"] = map.matrix->values();
    }
  }

  // Other machines may have rounded otherwise on the way.
  void share_result() {
    std::map<std::string, at::Tensor> matrices;
    for (auto& [name, map] : maps_) {
      matrices[name + ".codes"] = map.matrix->codes;
      matrices[name + ".scales"] = map.matrix->scales;
    }
    for (auto* tensors : {&matrices, &latents_, &weights_.tensors}) {
      share_tensors(task_.team, *tensors);
    }
    for (auto& [name, map] : maps_) {
      map.matrix->codes = matrices.at(name + ".codes");
      map.matrix->scales = matrices.at(name + ".scales");
    }
  }

  const BlockTrainingTask& task_;
  const BlockTrainingOptions& options_;
  BlockWeights& weights_;
  LatentWeights& latents_;
  std::map<std::string, TrainedMap> maps_;
  Adam adam_;
  WindowOrder order_;
};

}  // namespace

const char* to_string(BlockLoss loss) {
  if (loss == BlockLoss::kAuto) return "auto";
  return loss == BlockLoss::kOutput ? "output" : "predictions";
}

BlockTrainingReport train_block(const BlockTrainingTask& task, const BlockTrainingOptions& options,
                                BlockWeights& weights, std::map<std::string, LowBitMatrix>& maps,
                                LatentWeights& latents) {
  const at::AutoGradMode gradients(true);
  return BlockTraining(task, options, weights, maps, latents).run();
}

}  // namespace tercet::learn
