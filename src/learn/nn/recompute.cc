// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/recompute.h"

#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the backward pass needs beside the input.
struct Kept : torch::CustomClassHolder {
  Kept(Segment run_again, std::vector<at::Tensor> used)
      : segment(std::move(run_again)), weights(std::move(used)) {}
  Segment segment;
  std::vector<at::Tensor> weights;
};

class RecomputedFunction : public torch::autograd::Function<RecomputedFunction> {
 public:
  // `weights` is a TensorList, so that autograd sees each.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, at::TensorList,
                            const c10::intrusive_ptr<Kept>& kept) {
    context->save_for_backward({x});
    context->saved_data["kept"] = c10::IValue::make_capsule(kept);
    const at::AutoGradMode as_in_backward(true);
    return kept->segment(x.detach().requires_grad_(true)).detach();
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto capsule = context->saved_data["kept"].toCapsule();
    const auto& kept = static_cast<const Kept&>(*capsule);
    const at::AutoGradMode recording(true);
    variable_list inputs{context->get_saved_variables()[0].detach().requires_grad_(true)};
    inputs.insert(inputs.end(), kept.weights.begin(), kept.weights.end());
    variable_list out =
        torch::autograd::grad({kept.segment(inputs[0])}, inputs, {gradients[0]}, c10::nullopt,
                              /*create_graph=*/false, /*allow_unused=*/true);
    out.emplace_back();  // of `kept`
    return out;
  }
};

}  // namespace

at::Tensor recomputed(Segment segment, const at::Tensor& x,
                      const std::vector<at::Tensor>& weights) {
  return RecomputedFunction::apply(x, at::TensorList(weights),
                                   c10::make_intrusive<Kept>(std::move(segment), weights));
}

}  // namespace tercet::learn
