// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/end_to_end.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "learn/ptq/adam.h"
#include "learn/ptq/calibration.h"
#include "learn/ptq/head.h"
#include "learn/ptq/ranks.h"
#include "learn/ptq/scaled_ternary.h"
#include "learn/ptq/window_order.h"

namespace tercet::learn {
namespace {

constexpr uint64_t kSeed = 0x656E64;
constexpr int kSaves = 20;  // in a whole pass

// A map whose scales are trained as logarithms.
struct ScaledMap {
  LowBitMatrix matrix;   // codes in the type of products, where a row has one scale
  at::Tensor log_scale;  // [rows, groups], or [1, 1] with one scale for the tensor

  // One scale a row goes to the outputs, so that the matrix needs no gradient: a third less work,
  // and scales are not rounded with the codes.
  bool scales_outputs() const { return matrix.scales.size(1) == 1; }
  // What a step makes of the logarithms, and where its gradients are gathered.
  at::Tensor made() const {
    if (!scales_outputs()) {
      return scaled_ternary(matrix.codes, log_scale, matrix.grouping, kHardTernary);
    }
    return log_scale.exp().expand_as(matrix.scales).reshape({-1});
  }
  void put(const at::Tensor& leaf, const std::string& map, BlockWeights& weights) const {
    weights.tensors[map + ".weight"] = scales_outputs() ? matrix.codes : leaf;
    if (scales_outputs()) weights.row_scales[map] = leaf;
  }
};

ScaledMap scaled_map(const at::Tensor& values, const Grouping& grouping, at::ScalarType compute) {
  ScaledMap out{codes_of(values, grouping), {}};
  if (out.scales_outputs()) out.matrix.codes = out.matrix.codes.to(compute);
  const bool one = grouping.scope == packing::ScaleScope::kTensor;
  const at::Tensor scales = one ? out.matrix.scales.narrow(0, 0, 1) : out.matrix.scales;
  // Groups without codes have scale 0, which stays without effect at any number.
  out.log_scale = scales.clamp_min(1e-8).log().contiguous().set_requires_grad(true);
  return out;
}

class EndToEnd {
 public:
  EndToEnd(const EndToEndTask& task, const EndToEndOptions& options,
           std::vector<BlockWeights>& blocks, at::Tensor& final_norm)
      : task_(task),
        options_(options),
        config_(task.source->config()),
        blocks_(blocks),
        final_norm_(final_norm),
        rows_(lengths_of(*task.windows)),
        source_head_(*task.source, std::nullopt, task.compute),
        head_(*task.source, task.rest.head, task.compute),
        order_(rows_, kSeed) {
    angles_ = rotary_angles(config_, *std::max_element(rows_.begin(), rows_.end()));
    maps_.resize(blocks.size());
    for (size_t layer = 0; layer < blocks.size(); ++layer) add_block(layer);
    head_.norm() = trainable(final_norm);
  }

  EndToEndReport run() {
    const int tenth = std::max(options_.steps / 10, 1);
    EndToEndReport report;
    int step = 0;
    if (task_.begin) {
      report = task_.begin->report;
      adam_.restore(task_.begin->optimizer, task_.begin->steps);
      for (; step < task_.begin->steps; ++step) order_.draw(options_.tokens_per_step);
    }
    for (; step < options_.steps; ++step) {
      check_stop(step, report);
      const double loss = train_step(step);
      check_finite(std::isfinite(loss), step + 1);
      if (step < tenth) report.first_loss += loss / tenth;
      if (step >= options_.steps - tenth) report.last_loss += loss / tenth;
      if (task_.progress) task_.progress(step + 1, options_.steps, loss);
      if ((step + 1) % std::max(options_.steps / kSaves, 1) == 0) save(step + 1, report);
    }
    finish();
    return report;
  }

 private:
  void save(int steps, const EndToEndReport& report) const {
    if (task_.save) task_.save({steps, report, adam_.state()});
  }

  // All ranks stop before the same step.
  void check_stop(int steps, const EndToEndReport& report) const {
    if (!task_.team.any(task_.stop != nullptr && *task_.stop)) return;
    save(steps, report);
    task_.team.wait_for_first();  // whom the others' ends would stop while it writes
    fail(ErrorCode::kInterrupted, "interrupted in step {} of the last pass; --resume continues",
         steps + 1);
  }

  at::Tensor trainable(const at::Tensor& tensor) {
    at::Tensor out = tensor.clone().set_requires_grad(true);
    adam_.add(out, options_.rate);
    return out;
  }

  void add_block(size_t layer) {
    low_bit_.emplace_back();
    for (const std::string& map : linear_maps()) {
      if (!task_.chosen(fmt::format("model.layers.{}.{}", layer, map))) continue;
      low_bit_.back().push_back(map);
      const auto added = maps_[layer].emplace(
          map, scaled_map(blocks_[layer].at(map + ".weight"), task_.grouping, task_.compute));
      adam_.add(added.first->second.log_scale, options_.rate);
      // Every step puts its own there.
      blocks_[layer].tensors.at(map + ".weight").reset();
    }
    for (auto& [name, tensor] : blocks_[layer].tensors) {
      if (is_norm(name)) tensor = trainable(tensor);
    }
  }

  // The residual stream behind the last block.
  at::Tensor stream(size_t window, const std::vector<BlockWeights>& now) const {
    at::Tensor r = embedded(*task_.source, (*task_.windows)[window], task_.rest.embedding);
    for (size_t layer = 0; layer < now.size(); ++layer) {
      const auto low_bit = task_.int8_inputs ? low_bit_[layer] : std::vector<std::string>();
      r = Block(config_, static_cast<int64_t>(layer), now[layer], angles_, low_bit, task_.compute)
              .whole(r);
    }
    return r;
  }

  double train_step(int step) {
    // Gradients are gathered at what is made of the logarithms and go on to these once a step.
    std::vector<std::pair<at::Tensor, at::Tensor>> values_and_leaves;
    std::vector<BlockWeights> now = blocks_;
    for (size_t layer = 0; layer < maps_.size(); ++layer) {
      for (const auto& [map, scaled] : maps_[layer]) {
        const at::Tensor values = scaled.made();
        const at::Tensor leaf = values.detach().set_requires_grad(true);
        scaled.put(leaf, map, now[layer]);
        values_and_leaves.emplace_back(values, leaf);
      }
    }
    const double loss = pass_windows(now);
    sum_gradients(task_.team, gathering(values_and_leaves));
    for (const auto& [values, leaf] : values_and_leaves) values.backward(leaf.grad());
    const double progress = static_cast<double>(step) / static_cast<double>(options_.steps);
    adam_.step(0.5 * (1 + std::cos(std::acos(-1.0) * progress)));
    return loss;
  }

  // Where a backward pass leaves its gradients.
  std::vector<at::Tensor> gathering(
      const std::vector<std::pair<at::Tensor, at::Tensor>>& values_and_leaves) {
    std::vector<at::Tensor> out = {head_.norm()};
    for (const auto& [values, leaf] : values_and_leaves) out.push_back(leaf);
    for (const BlockWeights& block : blocks_) {
      for (const auto& [name, tensor] : block.tensors) {
        if (is_norm(name)) out.push_back(tensor);
      }
    }
    return out;
  }

  double pass_windows(const std::vector<BlockWeights>& now) {
    const std::vector<size_t> drawn = order_.draw(options_.tokens_per_step);
    double tokens = 0;
    for (const size_t window : drawn) tokens += static_cast<double>(rows_[window]);
    double sum = 0;
    for (const size_t window : take_windows(task_.team, rows_, drawn, {task_.streams})) {
      const at::Tensor loss =
          divergence(source_head_, task_.streams->get(window), head_, stream(window, now)) / tokens;
      loss.backward();
      sum += loss.item<double>();
    }
    task_.team.sum({&sum, 1});
    return sum;
  }

  static void check_finite(bool is_finite, int step) {
    if (is_finite) return;
    fail(ErrorCode::kBadInput,
         "the last pass came to numbers that are not finite in step {}; try --precision f32, or "
         "leave it out with --tune-steps 0",
         step);
  }

  at::Tensor finished_norm(const at::Tensor& gains) const {
    check_finite(gains.isfinite().all().item<bool>(), options_.steps);
    return stored_norm(config_, gains.detach());
  }

  void finish() {
    const at::NoGradGuard no_gradients;
    for (size_t layer = 0; layer < blocks_.size(); ++layer) {
      for (auto& [map, scaled] : maps_[layer]) {
        scaled.matrix.scales = scaled.log_scale.exp().expand_as(scaled.matrix.scales).contiguous();
        check_finite(scaled.matrix.scales.isfinite().all().item<bool>(), options_.steps);
        scaled.matrix.codes = scaled.matrix.codes.to(at::kFloat);
        round_to_stored(scaled.matrix);
        blocks_[layer].tensors[map + ".weight"] = scaled.matrix.values();
        scaled.matrix = {};
      }
      for (auto& [name, tensor] : blocks_[layer].tensors) {
        if (is_norm(name)) tensor = finished_norm(tensor);
      }
    }
    final_norm_ = finished_norm(head_.norm());
  }

  const EndToEndTask& task_;
  const EndToEndOptions& options_;
  const ModelConfig& config_;
  std::vector<BlockWeights>& blocks_;
  at::Tensor& final_norm_;
  std::vector<int64_t> rows_;  // of each window
  std::vector<std::map<std::string, ScaledMap>> maps_;
  std::vector<std::vector<std::string>> low_bit_;
  RotaryAngles angles_;
  ModelHead source_head_;
  ModelHead head_;
  Adam adam_;
  WindowOrder order_;
};

}  // namespace

LowBitMatrix codes_of(const at::Tensor& values, const Grouping& grouping) {
  LowBitMatrix out;
  out.grouping = grouping;
  out.column_group = neighbour_groups(grouping, values.size(1));
  out.codes = values.sign().contiguous();
  const at::Tensor magnitude = values.abs();
  std::vector<at::Tensor> largest;
  for (const at::Tensor& part : magnitude.split(grouping.columns(values.size(1)), 1)) {
    largest.push_back(part.amax(1, true));
  }
  out.scales = at::cat(largest, 1);
  if (grouping.scope == packing::ScaleScope::kTensor) {
    out.scales = out.scales.amax(0, true).expand_as(out.scales).contiguous();
  }
  return out;
}

EndToEndReport train_end_to_end(const EndToEndTask& task, const EndToEndOptions& options,
                                std::vector<BlockWeights>& blocks, at::Tensor& final_norm) {
  const at::AutoGradMode gradients(true);
  return EndToEnd(task, options, blocks, final_norm).run();
}

}  // namespace tercet::learn
