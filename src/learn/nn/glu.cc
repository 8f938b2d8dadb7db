// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/reference_ops.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class GluFunction : public torch::autograd::Function<GluFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate_up, bool silu) {
    const int64_t n = gate_up.size(1) / 2;
    const at::Tensor y = at::empty({gate_up.size(0), n}, gate_up.options());
    const auto loop = silu ? loops().glu_silu : loops().glu_relu2;
    for_rows(gate_up.size(0), n, [&](int64_t begin, int64_t end) {
      loop(gate_up.data_ptr<float>() + begin * 2 * n, end - begin, n,
           y.data_ptr<float>() + begin * n);
    });
    context->save_for_backward({gate_up});
    context->saved_data["silu"] = silu;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor gate_up = context->get_saved_variables()[0];
    const at::Tensor dy = gradients[0].contiguous();
    const int64_t n = gate_up.size(1) / 2;
    const at::Tensor dgate_up = at::empty_like(gate_up);
    const bool silu = context->saved_data["silu"].toBool();
    const auto loop = silu ? loops().glu_silu_backward : loops().glu_relu2_backward;
    for_rows(gate_up.size(0), n, [&](int64_t begin, int64_t end) {
      loop(gate_up.data_ptr<float>() + begin * 2 * n, dy.data_ptr<float>() + begin * n, end - begin,
           n, dgate_up.data_ptr<float>() + begin * 2 * n);
    });
    return {dgate_up, at::Tensor()};
  }
};

}  // namespace

at::Tensor glu(const at::Tensor& gate_up, Activation activation) {
  if (!gate_up.is_cpu()) return reference::glu(gate_up, activation);
  return GluFunction::apply(gate_up.contiguous(), activation == Activation::kSilu);
}

}  // namespace tercet::learn
