// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/adam.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace tercet::learn {
namespace {

constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.95;
constexpr double kEpsilon = 1e-8;

}  // namespace

void Adam::add(const at::Tensor& parameter, double rate) {
  slots_.push_back({parameter, at::zeros_like(parameter), at::zeros_like(parameter), rate});
}

void Adam::step(double factor) {
  const at::NoGradGuard no_gradients;
  ++steps_;
  const double correction1 = 1 - std::pow(kBeta1, static_cast<double>(steps_));
  const double correction2 = 1 - std::pow(kBeta2, static_cast<double>(steps_));
  for (Slot& slot : slots_) {
    at::Tensor gradient = slot.parameter.grad();
    if (!gradient.defined()) continue;
    slot.mean.mul_(kBeta1).add_(gradient, 1 - kBeta1);
    slot.square.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
    const at::Tensor divisor = (slot.square / correction2).sqrt_().add_(kEpsilon);
    slot.parameter.addcdiv_(slot.mean, divisor, -factor * slot.rate / correction1);
    gradient.zero_();
  }
}

}  // namespace tercet::learn
