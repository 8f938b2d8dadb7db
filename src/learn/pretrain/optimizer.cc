// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/optimizer.h"

#include <ATen/ATen.h>

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "formats/safetensors.h"
#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/model_io.h"

namespace tercet::learn {
namespace {

at::Tensor moment(const SafetensorsFile& file, const std::string& name, const at::Tensor& like) {
  const TensorView& view = file.tensor(name);
  const std::vector<int64_t> shape(like.sizes().begin(), like.sizes().end());
  if (view.type != DType::kF32 || view.shape != shape) {
    fail(ErrorCode::kBadInput, "'{}': tensor '{}' has another shape or type than the model's",
         file.path().string(), name);
  }
  const at::Tensor out = at::empty(like.sizes(), at::kFloat);
  std::memcpy(out.data_ptr(), view.bytes.data(), view.bytes.size());
  return out.to(like.device());
}

int64_t update_count(const SafetensorsFile& file) {
  const TensorView& view = file.tensor("updates");
  if (view.type != DType::kI64 || view.bytes.size() != sizeof(int64_t)) {
    fail(ErrorCode::kBadInput, "'{}': tensor 'updates' is not one I64", file.path().string());
  }
  int64_t count = 0;
  std::memcpy(&count, view.bytes.data(), sizeof(count));
  if (count < 0) fail(ErrorCode::kBadInput, "'{}': 'updates' is negative", file.path().string());
  return count;
}

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

double Optimizer::clip(double largest) {
  double squares = 0.0;
  for (const Slot& slot : slots_) {
    const at::Tensor& gradient = slot.parameter.value.grad();
    if (gradient.defined()) {
      squares += at::dot(gradient.flatten(), gradient.flatten()).item<double>();
    }
  }
  const double norm = std::sqrt(squares);
  gradient_scale_ = largest > 0 && norm > largest ? largest / norm : 1.0;
  return norm;
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

void Optimizer::save(const std::filesystem::path& file) const {
  std::vector<at::Tensor> owned;
  std::vector<TensorView> views;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    owned.push_back(tensor.detach().to(at::kCPU).contiguous());
    views.push_back(tensor_view(name, owned.back()));
  };
  add("updates", at::full({1}, updates_, at::kLong));
  for (const Slot& slot : slots_) {
    add("exp_avg." + slot.parameter.name, slot.exp_avg);
    add("exp_avg_sq." + slot.parameter.name, slot.exp_avg_sq);
  }
  write_safetensors(file, views, {});
}

void Optimizer::load(const std::filesystem::path& file) {
  const SafetensorsFile source(file);
  updates_ = update_count(source);
  if (updates_ == 0) return;
  for (Slot& slot : slots_) {
    const at::Tensor& value = slot.parameter.value;
    slot.exp_avg = moment(source, "exp_avg." + slot.parameter.name, value);
    slot.exp_avg_sq = moment(source, "exp_avg_sq." + slot.parameter.name, value);
  }
}

}  // namespace tercet::learn
