// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/optimizer.h"

#include <ATen/ATen.h>
#include <torch/optim/adamw.h>
#include <torch/version.h>

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "formats/safetensors.h"
#include "learn/nn/model_io.h"

namespace tercet::learn {
namespace {

using torch::optim::AdamW;
using torch::optim::AdamWOptions;
using torch::optim::AdamWParamState;

// libtorch changed the type of this key between releases.
auto state_key(const at::Tensor& parameter) {
#if TORCH_VERSION_MAJOR >= 2
  return static_cast<void*>(parameter.unsafeGetTensorImpl());
#else
  return c10::guts::to_string(parameter.unsafeGetTensorImpl());
#endif
}

std::vector<torch::optim::OptimizerParamGroup> groups(const std::vector<Parameter>& parameters) {
  std::vector<at::Tensor> decaying, other;
  for (const Parameter& p : parameters) (p.decays ? decaying : other).push_back(p.value);
  return {torch::optim::OptimizerParamGroup(decaying), torch::optim::OptimizerParamGroup(other)};
}

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

}  // namespace

struct Optimizer::State {
  const std::vector<Parameter>* parameters;
  AdamW adamw;
  int64_t updates = 0;
};

Optimizer::Optimizer(const std::vector<Parameter>& parameters, const Recipe& recipe)
    : state_(std::make_unique<State>(State{
          &parameters, AdamW(groups(parameters), AdamWOptions(recipe.learning_rate)
                                                     .betas({recipe.adam_beta1, recipe.adam_beta2})
                                                     .eps(recipe.adam_eps)
                                                     .weight_decay(recipe.weight_decay))})) {}

Optimizer::~Optimizer() = default;

double Optimizer::clip(double largest) {
  double squares = 0.0;
  for (const Parameter& p : *state_->parameters) {
    if (p.value.grad().defined()) {
      squares += at::dot(p.value.grad().flatten(), p.value.grad().flatten()).item<double>();
    }
  }
  const double norm = std::sqrt(squares);
  if (largest > 0 && norm > largest) {
    for (const Parameter& p : *state_->parameters) {
      if (p.value.grad().defined()) p.value.mutable_grad().mul_(largest / norm);
    }
  }
  return norm;
}

void Optimizer::step(const StepRates& rates) {
  auto& param_groups = state_->adamw.param_groups();
  for (size_t i = 0; i < param_groups.size(); ++i) {
    auto& options = static_cast<AdamWOptions&>(param_groups[i].options());
    options.lr(rates.learning_rate).weight_decay(i == 0 ? rates.weight_decay : 0.0);
  }
  state_->adamw.step();
  state_->adamw.zero_grad();
  ++state_->updates;
}

void Optimizer::skip() { state_->adamw.zero_grad(); }

void Optimizer::save(const std::filesystem::path& file) const {
  std::vector<at::Tensor> owned;
  std::vector<TensorView> views;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    owned.push_back(tensor.detach().to(at::kCPU).contiguous());
    views.push_back(tensor_view(name, owned.back()));
  };
  add("updates", at::full({1}, state_->updates, at::kLong));
  auto& states = state_->adamw.state();
  for (const Parameter& p : *state_->parameters) {
    const auto found = states.find(state_key(p.value));
    if (found == states.end()) continue;  // before the first update
    const auto& moments = static_cast<const AdamWParamState&>(*found->second);
    add("exp_avg." + p.name, moments.exp_avg());
    add("exp_avg_sq." + p.name, moments.exp_avg_sq());
  }
  write_safetensors(file, views, {});
}

void Optimizer::load(const std::filesystem::path& file) {
  const SafetensorsFile source(file);
  state_->updates = update_count(source);
  for (const Parameter& p : *state_->parameters) {
    if (state_->updates == 0) break;
    auto moments = std::make_unique<AdamWParamState>();
    moments->step(state_->updates);
    moments->exp_avg(moment(source, "exp_avg." + p.name, p.value));
    moments->exp_avg_sq(moment(source, "exp_avg_sq." + p.name, p.value));
    state_->adamw.state()[state_key(p.value)] = std::move(moments);
  }
}

}  // namespace tercet::learn
