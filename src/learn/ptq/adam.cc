// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/adam.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "learn/nn/loops/loop_table.h"

namespace tercet::learn {
namespace {

constexpr float kBeta1 = 0.9f;
constexpr float kBeta2 = 0.95f;
constexpr float kEpsilon = 1e-8f;

}  // namespace

void Adam::add(const at::Tensor& parameter, double rate) {
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
    update(slot, factors);
    slot.parameter.mutable_grad().reset();
  }
}

void Adam::update(Slot& slot, const AdamwFactors& factors) {
  constexpr int64_t kGrain = 32768;
  const at::Tensor gradient = slot.parameter.grad().contiguous();
  float* value = slot.parameter.data_ptr<float>();
  at::parallel_for(0, gradient.numel(), kGrain, [&](int64_t begin, int64_t end) {
    loops().adamw(factors, gradient.data_ptr<float>() + begin, end - begin, value + begin,
                  slot.mean.data_ptr<float>() + begin, slot.square.data_ptr<float>() + begin);
  });
  // What was written behind libtorch's back still counts as a change.
  slot.parameter.unsafeGetTensorImpl()->bump_version();
}

}  // namespace tercet::learn
