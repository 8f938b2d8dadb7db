// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/reference_ops.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class PlainNormFunction : public torch::autograd::Function<PlainNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x) {
    const int64_t n = x.size(1);
    const at::Tensor y = at::empty_like(x);
    const at::Tensor mean = at::empty({x.size(0)}, x.options());
    const at::Tensor inverse = at::empty({x.size(0)}, x.options());
    for_rows(x.size(0), n, [&](int64_t begin, int64_t end) {
      loops().plain_norm(x.data_ptr<float>() + begin * n, kPlainNormEps, end - begin, n,
                         y.data_ptr<float>() + begin * n, mean.data_ptr<float>() + begin,
                         inverse.data_ptr<float>() + begin);
    });
    context->save_for_backward({x, mean, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].contiguous();
    const int64_t n = dy.size(1);
    const at::Tensor dx = at::empty_like(dy);
    for_rows(dy.size(0), n, [&](int64_t begin, int64_t end) {
      loops().plain_norm_backward(
          saved[0].data_ptr<float>() + begin * n, saved[1].data_ptr<float>() + begin,
          saved[2].data_ptr<float>() + begin, dy.data_ptr<float>() + begin * n, end - begin, n,
          dx.data_ptr<float>() + begin * n);
    });
    return {dx};
  }
};

}  // namespace

at::Tensor plain_norm(const at::Tensor& x) {
  if (!runs_fused(x)) return reference::plain_norm(x);
  return PlainNormFunction::apply(x.contiguous());
}

}  // namespace tercet::learn
