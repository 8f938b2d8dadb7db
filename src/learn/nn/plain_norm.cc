// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "learn/nn/ops.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Mean and variance in double, as the runtime takes them, so that both round inputs alike.
class PlainNormFunction : public torch::autograd::Function<PlainNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x) {
    const at::Tensor wide = x.to(at::kDouble);
    const at::Tensor mean = wide.mean(-1, true);
    const at::Tensor variance = (wide.square().mean(-1, true) - mean.square()).clamp_min(0);
    const at::Tensor scale =
        at::rsqrt(variance + static_cast<double>(kPlainNormEps)).to(at::kFloat);
    const at::Tensor y = (x - mean.to(at::kFloat)) * scale;
    context->save_for_backward({y, scale});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& y = saved[0];
    const at::Tensor& dy = gradients[0];
    return {(dy - dy.mean(-1, true) - y * (dy * y).mean(-1, true)) * saved[1]};
  }
};

}  // namespace

at::Tensor plain_norm(const at::Tensor& x) { return PlainNormFunction::apply(x.contiguous()); }

}  // namespace tercet::learn
