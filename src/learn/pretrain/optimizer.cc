// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "learn/nn/adamw_update.h"

namespace tercet::learn {
namespace {

// Elements that one thread takes at a time.
constexpr int64_t kGrain = 32768;

// The sum of a block's squares, in lanes that fit vector registers.
double block_squares(const float* values, int64_t count) {
  constexpr int64_t kLanes = 8;
  std::array<double, kLanes> sums = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double value = values[i + lane];
      sums[static_cast<size_t>(lane)] += value * value;
    }
  }
  for (; i < count; ++i) sums[0] += double{values[i]} * values[i];
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// In f64: what clipping multiplies with must not depend on how a gradient is cut into parts.
double squares_on_cpu(const at::Tensor& gradient) {
  const int64_t blocks = (gradient.numel() + kGrain - 1) / kGrain;
  std::vector<double> sums(static_cast<size_t>(blocks));
  const float* values = gradient.data_ptr<float>();
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kGrain;
      sums[static_cast<size_t>(block)] =
          block_squares(values + first, std::min(kGrain, gradient.numel() - first));
    }
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

void update_by_tensors(const at::Tensor& value, const at::Tensor& exp_avg,
                       const at::Tensor& exp_avg_sq, const AdamwFactors& f) {
  const at::NoGradGuard no_grad;
  const at::Tensor gradient = value.grad() * f.gradient_scale;
  exp_avg.mul_(f.beta1).add_(gradient, 1.0 - f.beta1);
  exp_avg_sq.mul_(f.beta2).addcmul_(gradient, gradient, 1.0 - f.beta2);
  const at::Tensor root = exp_avg_sq.sqrt().mul_(f.root_scale).add_(f.eps);
  value.mul_(f.keep).addcdiv_(exp_avg, root, -f.step_size);
}

}  // namespace

Optimizer::Optimizer(const std::vector<Parameter>& parameters, const Recipe& recipe)
    : beta1_(recipe.adam_beta1), beta2_(recipe.adam_beta2), eps_(recipe.adam_eps) {
  for (const Parameter& p : parameters) {
    slots_.push_back({p, at::zeros_like(p.value), at::zeros_like(p.value)});
  }
}

double Optimizer::squared_norm() const {
  double squares = 0.0;
  std::vector<at::Tensor> elsewhere;
  for (const Slot& slot : slots_) {
    const at::Tensor& gradient = slot.parameter.value.grad();
    if (!gradient.defined()) continue;
    if (gradient.is_cpu()) {
      squares += squares_on_cpu(gradient.contiguous());
    } else {
      elsewhere.push_back(gradient.square().sum(at::kDouble));
    }
  }
  // Together, so that a GPU is waited for once.
  if (!elsewhere.empty()) squares += at::stack(elsewhere).sum().item<double>();
  return squares;
}

void Optimizer::clip(double norm, double largest) {
  gradient_scale_ = largest > 0 && norm > largest ? largest / norm : 1.0;
}

void Optimizer::step(const StepRates& rates) {
  ++updates_;
  const double n = static_cast<double>(updates_);
  AdamwFactors factors;
  factors.gradient_scale = static_cast<float>(gradient_scale_);
  factors.beta1 = static_cast<float>(beta1_);
  factors.beta2 = static_cast<float>(beta2_);
  factors.eps = static_cast<float>(eps_);
  factors.step_size = static_cast<float>(rates.learning_rate / (1.0 - std::pow(beta1_, n)));
  factors.root_scale = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2_, n)));
  for (const Slot& slot : slots_) {
    const at::Tensor& value = slot.parameter.value;
    if (!value.grad().defined()) continue;
    const double decay = slot.parameter.decays ? rates.weight_decay : 0.0;
    factors.keep = static_cast<float>(1.0 - rates.learning_rate * decay);
    const auto update = value.is_cpu() ? adamw_update : update_by_tensors;
    update(value, slot.exp_avg, slot.exp_avg_sq, factors);
  }
  clear_gradients();
}

void Optimizer::skip() { clear_gradients(); }

void Optimizer::clear_gradients() {
  for (Slot& slot : slots_) slot.parameter.value.mutable_grad().reset();
  gradient_scale_ = 1.0;
}

}  // namespace tercet::learn
