// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/input_transforms.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/top_k.h"
#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/device_path.h"
#include "learn/nn/reference_ops.h"
#include "learn/nn/runtime_kernels.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor transformed(const at::Tensor& x) {
  const int64_t n = x.size(1);
  const at::Tensor y = x.contiguous().clone();
  for_rows(x.size(0), n, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      runtime_kernels().hadamard(y.data_ptr<float>() + row * n, n, hadamard_block(n));
    }
  });
  return y;
}

class HadamardFunction : public torch::autograd::Function<HadamardFunction> {
 public:
  static at::Tensor forward(AutogradContext*, const at::Tensor& x) { return transformed(x); }
  static variable_list backward(AutogradContext*, const variable_list& gradients) {
    return {transformed(gradients[0])};
  }
};

class KeepLargestFunction : public torch::autograd::Function<KeepLargestFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t count) {
    const int64_t n = x.size(1);
    const at::Tensor least = at::empty({x.size(0), 1}, x.options());
    for_rows(x.size(0), n, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        least.data_ptr<float>()[row] =
            kth_largest_magnitude({x.data_ptr<float>() + row * n, static_cast<size_t>(n)}, count);
      }
    });
    const at::Tensor dropped = x.abs() < least;
    context->save_for_backward({dropped});
    return x.masked_fill(dropped, 0.0);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    return {gradients[0].masked_fill(context->get_saved_variables()[0], 0.0), at::Tensor()};
  }
};

}  // namespace

at::Tensor hadamard(const at::Tensor& x) {
  if (!runs_fused(x)) return reference::hadamard(x);
  return HadamardFunction::apply(x);
}

at::Tensor keep_largest(const at::Tensor& x, int64_t count) {
  if (!runs_fused(x)) return reference::keep_largest(x, count);
  return KeepLargestFunction::apply(x.contiguous(), count);
}

}  // namespace tercet::learn
