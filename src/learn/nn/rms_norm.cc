// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/reference_ops.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    const int64_t rows = x.size(0);
    const int64_t n = x.size(1);
    const at::Tensor y = at::empty_like(x);
    const at::Tensor inverse = at::empty({rows}, x.options());
    for_rows(rows, n, [&](int64_t begin, int64_t end) {
      loops().rms_norm(x.data_ptr<float>() + begin * n, weight.data_ptr<float>(),
                       static_cast<float>(eps), end - begin, n, y.data_ptr<float>() + begin * n,
                       inverse.data_ptr<float>() + begin);
    });
    context->save_for_backward({x, weight, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    const at::Tensor dy = gradients[0].contiguous();
    const int64_t rows = x.size(0);
    const int64_t n = x.size(1);
    const at::Tensor dx = at::empty_like(x);
    const at::Tensor shares = at::zeros({kShares, n}, x.options());
    for_shares(rows, [&](int64_t share, int64_t begin, int64_t end) {
      loops().rms_norm_backward(
          x.data_ptr<float>() + begin * n, weight.data_ptr<float>(),
          saved[2].data_ptr<float>() + begin, dy.data_ptr<float>() + begin * n, end - begin, n,
          dx.data_ptr<float>() + begin * n, shares.data_ptr<float>() + share * n);
    });
    return {dx, shares.sum(0), at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (!runs_fused(x)) return reference::rms_norm(x, weight, eps);
  return RmsNormFunction::apply(x.contiguous(), weight, eps);
}

}  // namespace tercet::learn
