// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "learn/nn/device_ops.h"

namespace tercet::learn::device {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Codes {
  at::Tensor codes;  // [rows, in] int8
  at::Tensor scale;  // [rows, 1] f32
};

// Codes of several weights, one below the other; a row is code * scale.
Codes weight_codes(at::TensorList weights, LinearKind kind) {
  std::vector<at::Tensor> codes, scales;
  for (const at::Tensor& weight : weights) {
    const at::Tensor scale =
        weight.abs().mean(at::kDouble).to(at::kFloat).clamp_min(1e-5f).reshape({1, 1});
    if (kind == LinearKind::kB1) {
      const at::Tensor centre = weight.mean(at::kDouble).to(at::kFloat);
      codes.push_back((weight > centre).to(at::kChar) * 2 - 1);
    } else {
      codes.push_back((weight * scale.reciprocal()).round().clamp(-1, 1).to(at::kChar));
    }
    scales.push_back(scale.expand({weight.size(0), 1}));
  }
  return {at::cat(codes, 0), at::cat(scales, 0)};
}

// int8 codes of x: a row is code / scale.
Codes input_codes(const at::Tensor& x, InputRange range) {
  if (range == InputRange::kFourBits) {
    const at::Tensor mean = x.abs().mean(-1, true, at::kDouble).to(at::kFloat);
    const at::Tensor scale = mean.clamp_min(1e-5f).reciprocal() * std::sqrt(7.0f);
    return {(x * scale).round().clamp(-8, 7).to(at::kChar), scale};
  }
  const at::Tensor magnitude = x.abs();
  at::Tensor absmax = magnitude.amax(-1, true);
  if (range == InputRange::kAllTokens) absmax = absmax.amax().expand({x.size(0), 1});
  const at::Tensor scale = absmax.clamp_min(1e-5f).reciprocal() * 127.0f;
  return {(x * scale).round().to(at::kChar), scale};
}

// With codes q, W and their scales s and g, y = sum q W g / s. As in linear.cc both gradients come
// from z = dy g / s: dx = s (z W), dW = (z^T q) / g.
class LowBitLinearFunction : public torch::autograd::Function<LowBitLinearFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, at::TensorList weights,
                            at::ScalarType compute, LinearKind kind, InputRange range) {
    const Codes matrix = weight_codes(weights, kind);
    const Codes input = input_codes(x, range);
    context->save_for_backward({input.codes, input.scale, matrix.codes, matrix.scale});
    context->saved_data["compute"] = static_cast<int64_t>(compute);
    std::vector<int64_t> rows;
    for (const at::Tensor& weight : weights) rows.push_back(weight.size(0));
    context->saved_data["rows"] = rows;
    const at::Tensor sums = at::matmul(input.codes.to(compute), matrix.codes.to(compute).t());
    return sums.to(at::kFloat).mul_(matrix.scale.t()).div_(input.scale);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &codes = saved[0], &scale = saved[1];
    const at::Tensor &matrix = saved[2], &row_scale = saved[3];
    const auto compute = static_cast<at::ScalarType>(context->saved_data["compute"].toInt());
    const at::Tensor z = (gradients[0] * row_scale.t()).div_(scale).to(compute);
    variable_list out{at::matmul(z, matrix.to(compute)).to(at::kFloat) * scale};
    const at::Tensor dweights = at::matmul(z.t(), codes.to(compute)).to(at::kFloat).div_(row_scale);
    for (at::Tensor& part :
         dweights.split_with_sizes(context->saved_data["rows"].toIntVector(), 0)) {
      out.push_back(std::move(part));
    }
    out.resize(out.size() + 3);
    return out;
  }
};

}  // namespace

at::Tensor low_bit_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute, LinearKind kind, InputRange range) {
  return LowBitLinearFunction::apply(x, at::TensorList(weights), compute, kind, range);
}

}  // namespace tercet::learn::device
