// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/adam.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "core/error.h"
#include "learn/nn/adamw_update.h"

namespace tercet::learn {
namespace {

constexpr float kBeta1 = 0.9f;
constexpr float kBeta2 = 0.95f;
constexpr float kEpsilon = 1e-8f;

}  // namespace

void Adam::add(const at::Tensor& parameter, double rate) {
  if (!parameter.is_contiguous()) fail(ErrorCode::kInternal, "Adam: a parameter is not contiguous");
  slots_.push_back({parameter, at::zeros_like(parameter), at::zeros_like(parameter), rate});
}

void Adam::step(double factor) {
  const at::NoGradGuard no_gradients;
  ++steps_;
  AdamwFactors factors{.beta1 = kBeta1, .beta2 = kBeta2, .eps = kEpsilon};
  factors.root_scale =
      static_cast<float>(1 / std::sqrt(1 - std::pow(kBeta2, static_cast<double>(steps_))));
  const double correction = 1 - std::pow(kBeta1, static_cast<double>(steps_));
  for (Slot& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    factors.step_size = static_cast<float>(factor * slot.rate / correction);
    adamw_update(slot.parameter, slot.mean, slot.square, factors);
    slot.parameter.mutable_grad().reset();
  }
}

std::vector<at::Tensor> Adam::state() const {
  std::vector<at::Tensor> out;
  for (const Slot& slot : slots_) {
    for (const at::Tensor& tensor : {slot.parameter, slot.mean, slot.square}) {
      out.push_back(tensor.detach());
    }
  }
  return out;
}

void Adam::restore(const std::vector<at::Tensor>& state, int64_t steps) {
  const at::NoGradGuard no_gradients;
  const std::vector<at::Tensor> own = this->state();
  if (state.size() != own.size()) fail(ErrorCode::kInternal, "Adam: a state of other parameters");
  for (size_t i = 0; i < own.size(); ++i) own[i].copy_(state[i].view(own[i].sizes()));
  steps_ = steps;
}

}  // namespace tercet::learn
