// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "learn/nn/cpu_dispatch.h"

namespace tercet::learn {
namespace {

// Elements that one thread takes at a time.
constexpr int64_t kGrain = 32768;

void update_on_cpu(const at::Tensor& value, const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq,
                   const AdamwFactors& factors) {
  const at::Tensor gradient = value.grad().contiguous();
  at::parallel_for(0, value.numel(), kGrain, [&](int64_t begin, int64_t end) {
    loops().adamw(factors, gradient.data_ptr<float>() + begin, end - begin,
                  value.data_ptr<float>() + begin, exp_avg.data_ptr<float>() + begin,
                  exp_avg_sq.data_ptr<float>() + begin);
  });
  // What was written behind libtorch's back still counts as a change.
  value.unsafeGetTensorImpl()->bump_version();
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
  std::vector<at::Tensor> parts;
  for (const Slot& slot : slots_) {
    const at::Tensor& gradient = slot.parameter.value.grad();
    if (gradient.defined()) parts.push_back(at::dot(gradient.flatten(), gradient.flatten()));
  }
  double squares = 0.0;
  if (!parts.empty()) {
    // Together, so that a GPU is waited for once.
    const at::Tensor fetched = at::stack(parts).to(at::kCPU);
    const float* values = fetched.data_ptr<float>();
    for (int64_t i = 0; i < fetched.numel(); ++i) squares += static_cast<double>(values[i]);
  }
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
    const auto update = value.is_cpu() ? update_on_cpu : update_by_tensors;
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
