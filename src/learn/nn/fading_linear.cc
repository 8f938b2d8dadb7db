// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "learn/nn/code_matrix.h"
#include "learn/nn/column_groups.h"
#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/device_path.h"
#include "learn/nn/input_codes.h"
#include "learn/nn/low_bit_form.h"
#include "learn/nn/reference_ops.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// y = x + share (codes * unit - x) for a row; unit(row) gives that of each row.
template <typename Unit>
at::Tensor faded(const at::Tensor& x, const at::Tensor& codes, double share, const Unit& unit) {
  const at::Tensor y = at::empty_like(x);
  const int64_t width = x.size(1);
  for_rows(x.size(0), width, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      loops().fade(x.data_ptr<float>() + row * width, codes.data_ptr<int8_t>() + row * width, width,
                   unit(row), static_cast<float>(share), y.data_ptr<float>() + row * width);
    }
  });
  return y;
}

// The gradients of both go straight through.
class FadeInputFunction : public torch::autograd::Function<FadeInputFunction> {
 public:
  static at::Tensor forward(AutogradContext*, const at::Tensor& x, InputRange range, double share) {
    const InputCodes input = quantize_input(x, range);
    const float* scales = input.row_scale.data_ptr<float>();
    return faded(x, input.codes, share, [&](int64_t row) { return 1.0f / scales[row]; });
  }

  static variable_list backward(AutogradContext*, const variable_list& gradients) {
    return {gradients[0], at::Tensor(), at::Tensor()};
  }
};

class FadeWeightFunction : public torch::autograd::Function<FadeWeightFunction> {
 public:
  static at::Tensor forward(AutogradContext*, const at::Tensor& weight, LinearKind kind,
                            double share) {
    const at::Tensor latent = weight.contiguous();
    const at::Tensor codes = at::empty(latent.sizes(), latent.options().dtype(at::kChar));
    const float scale = quantize_weight(latent, kind, codes.data_ptr<int8_t>());
    return faded(latent, codes, share, [&](int64_t) { return scale; });
  }

  static variable_list backward(AutogradContext*, const variable_list& gradients) {
    return {gradients[0], at::Tensor(), at::Tensor()};
  }
};

at::Tensor fade_input(const at::Tensor& x, const LowBitForm& form, double share) {
  if (!form.shifted) return FadeInputFunction::apply(x, form.range, share);
  const at::Tensor shift = shift_of(x, form.range);
  return FadeInputFunction::apply(x - shift, form.range, share) + shift;
}

}  // namespace

at::Tensor fading_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                         at::ScalarType compute, const LowBitForm& form, double share,
                         CodeCache* cache) {
  if (share <= 0) return dense_linear(x, weights, compute);
  if (share >= 1) return low_bit_linear(x, weights, compute, form, cache);
  if (!runs_fused(x)) return reference::fading_linear(x, weights, compute, form, share);
  return sum_over_groups(x, weights, form.groups,
                         [&](const at::Tensor& input, const std::vector<at::Tensor>& parts) {
                           std::vector<at::Tensor> between;
                           for (const at::Tensor& part : parts) {
                             between.push_back(FadeWeightFunction::apply(part, form.kind, share));
                           }
                           return dense_linear(fade_input(input, form, share), between, compute);
                         });
}

}  // namespace tercet::learn
