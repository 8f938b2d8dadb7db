// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/threshold.h"

#include <ATen/ATen.h>

#include "learn/ptq/scale_fit.h"

namespace tercet::learn {
namespace {

using packing::ScaleScope;

constexpr double kTwnFactor = 0.75;
constexpr double kLowest = 0.3;
constexpr double kHighest = 1.7;

LowBitMatrix empty_matrix(const at::Tensor& weight, const Grouping& grouping) {
  LowBitMatrix out;
  out.grouping = grouping;
  out.column_group = neighbour_groups(grouping, weight.size(1));
  out.scales = at::zeros({weight.size(0), grouping.groups(weight.size(1))}, at::kFloat);
  return out;
}

// Per group and row; the same everywhere with one scale for the tensor.
at::Tensor mean_magnitude(const at::Tensor& weight, const LowBitMatrix& like) {
  const at::Tensor ones = at::ones({1, weight.size(1)}, at::kFloat);
  const int64_t groups = like.scales.size(1);
  const at::Tensor sums = group_sums(weight.abs(), like.column_group, groups);
  at::Tensor mean = sums / group_sums(ones, like.column_group, groups);
  if (like.grouping.scope == ScaleScope::kTensor) mean = mean.mean(0, true).expand_as(mean);
  return mean;
}

at::Tensor codes_above(const at::Tensor& weight, const at::Tensor& threshold) {
  return weight.sign() * (weight.abs() > threshold);
}

// The product with the diagonal blocks of h, one for each group.
at::Tensor block_product(const at::Tensor& x, const at::Tensor& h, const Grouping& grouping) {
  const int64_t step = grouping.columns(x.size(1));
  if (step >= x.size(1)) return at::matmul(x, h);
  std::vector<at::Tensor> parts;
  for (int64_t first = 0; first < x.size(1); first += step) {
    const int64_t count = std::min(step, x.size(1) - first);
    parts.push_back(
        at::matmul(x.narrow(1, first, count), h.narrow(0, first, count).narrow(1, first, count)));
  }
  return at::cat(parts, 1);
}

// The choice among thresholds; `metric` multiplies rows with the (block-diagonal) Hessian.
template <typename Metric>
LowBitMatrix best_threshold(const at::Tensor& weight, const Grouping& grouping, int points,
                            Metric metric) {
  LowBitMatrix out = empty_matrix(weight, grouping);
  const int64_t groups = out.scales.size(1);
  const bool whole = grouping.scope == ScaleScope::kTensor;
  const auto reduced = [&](const at::Tensor& x) {
    const at::Tensor sums = group_sums(x, out.column_group, groups);
    return whole ? sums.sum(0, true).expand_as(sums) : sums;
  };
  const at::Tensor base = kTwnFactor * mean_magnitude(weight, out);
  const at::Tensor metric_weight = metric(weight);
  at::Tensor best_gain = at::full_like(out.scales, -1);
  out.codes = at::zeros_like(weight);
  for (int i = 0; i < points; ++i) {
    const double factor =
        points == 1 ? 1 : kLowest + (kHighest - kLowest) * i / static_cast<double>(points - 1);
    const at::Tensor codes = codes_above(weight, at_columns(base * factor, out.column_group));
    const at::Tensor numerator = reduced(codes * metric_weight);
    const at::Tensor denominator = reduced(codes * metric(codes)).clamp_min(1e-30);
    // The error with the best scale is the weights' own norm less this.
    const at::Tensor gain = numerator * numerator.abs() / denominator;
    const at::Tensor better = gain > best_gain;
    best_gain = at::where(better, gain, best_gain);
    out.scales = at::where(better, numerator / denominator, out.scales);
    out.codes = at::where(at_columns(better, out.column_group), codes, out.codes);
  }
  out.scales = out.scales.clamp_min(0).contiguous();
  return out;
}

}  // namespace

LowBitMatrix absmean(const at::Tensor& weight, const Grouping& grouping) {
  LowBitMatrix out = empty_matrix(weight, grouping);
  out.scales = mean_magnitude(weight, out).clamp_min(1e-5).contiguous();
  out.codes = (weight / at_columns(out.scales, out.column_group)).round().clamp(-1, 1);
  return out;
}

LowBitMatrix twn(const at::Tensor& weight, const Grouping& grouping) {
  LowBitMatrix out = empty_matrix(weight, grouping);
  const at::Tensor threshold = kTwnFactor * mean_magnitude(weight, out);
  out.codes = codes_above(weight, at_columns(threshold, out.column_group));
  fit_scales(out, weight);
  return out;
}

LowBitMatrix threshold_grid(const at::Tensor& weight, const Grouping& grouping, int points) {
  return best_threshold(weight, grouping, points, [](const at::Tensor& x) { return x; });
}

LowBitMatrix threshold_grid(const LayerTarget& target, const Grouping& grouping, int points) {
  return best_threshold(target.weight, grouping, points,
                        [&](const at::Tensor& x) { return block_product(x, target.h, grouping); });
}

}  // namespace tercet::learn
