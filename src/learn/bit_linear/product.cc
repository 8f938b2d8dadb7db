// SPDX-License-Identifier: Apache-2.0
#include "learn/bit_linear/product.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/error.h"
#include "learn/nn/low_bit_form.h"
#include "learn/nn/ops.h"

namespace tercet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double kNormEps = 1e-5;

// The identity. The fused gradients behind it are no functions that libtorch could derive again;
// without this a second derivative would come out as zero.
class FirstDerivativeOnly : public torch::autograd::Function<FirstDerivativeOnly> {
 public:
  // Not x itself, which libtorch would take for a view that callers may not change in place, as
  // Linear::forward() does to add its bias.
  static at::Tensor forward(AutogradContext*, const at::Tensor& x) { return x.detach(); }

  static variable_list backward(AutogradContext*, const variable_list& gradients) {
    if (at::GradMode::is_enabled()) {
      fail(ErrorCode::kUnsupported,
           "BitLinear has no second derivatives; call backward() or grad() without create_graph");
    }
    return gradients;
  }
};

std::string shape_text(const at::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

void check(const at::Tensor& input, const at::Tensor& weight, at::ScalarType compute) {
  if (compute != at::kFloat && compute != at::kBFloat16) {
    fail(ErrorCode::kUsage, "BitLinear computes in kFloat or kBFloat16, not in {}",
         c10::toString(compute));
  }
  if (!at::isFloatingType(input.scalar_type())) {
    fail(ErrorCode::kUsage, "BitLinear takes real floating-point inputs, not {}",
         c10::toString(input.scalar_type()));
  }
  if (input.dim() == 0 || input.size(-1) != weight.size(1)) {
    fail(ErrorCode::kUsage, "BitLinear with in_features {} got an input of shape {}",
         weight.size(1), shape_text(input));
  }
  if (input.device() != weight.device()) {
    fail(ErrorCode::kUsage, "BitLinear's input is on {} and its weight on {}; move one by to()",
         input.device().str(), weight.device().str());
  }
}

learn::InputRange input_range(ActivationRange range) {
  switch (range) {
    case ActivationRange::kPerTensor:
      return learn::InputRange::kAllTokens;
    case ActivationRange::kPerTensorWhenGradRecorded:
      return at::GradMode::is_enabled() ? learn::InputRange::kAllTokens
                                        : learn::InputRange::kPerToken;
    case ActivationRange::kPerTokenFourBits:
      return learn::InputRange::kFourBits;
    case ActivationRange::kPerToken:
      break;
  }
  return learn::InputRange::kPerToken;
}

at::Tensor normed(const at::Tensor& x, InputNorm norm) {
  switch (norm) {
    case InputNorm::kRms:
      return learn::rms_norm(x, at::ones({x.size(1)}, x.options()), kNormEps);
    case InputNorm::kLayer:
      return learn::plain_norm(x);
    case InputNorm::kNone:
      break;
  }
  return x;
}

// rows: [tokens, in_features] f32.
at::Tensor rounded_product(const at::Tensor& rows, const at::Tensor& weight,
                           const BitLinearOptions& options) {
  // Nothing has no range.
  const learn::InputRange range =
      rows.size(0) == 0 ? learn::InputRange::kPerToken : input_range(options.activation_range());
  learn::LowBitForm form;
  form.kind = options.kind() == BitKind::kB1 ? LinearKind::kB1 : LinearKind::kB158;
  form.range = range;
  return learn::low_bit_linear(rows, {weight}, options.compute(), form);
}

}  // namespace

at::Tensor bit_product(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                       const BitLinearOptions& options) {
  check(input, weight, options.compute());
  // The products below choose their own types.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  std::vector<int64_t> shape = input.sizes().vec();
  shape.back() = weight.size(0);
  const at::Tensor rows = input.reshape({-1, weight.size(1)}).to(at::kFloat);
  at::Tensor y = rounded_product(normed(rows, options.input_norm()),
                                 weight.to(at::kFloat).contiguous(), options);
  if (bias.defined()) y = y + bias.to(at::kFloat);
  return FirstDerivativeOnly::apply(y).reshape(shape).to(input.scalar_type());
}

}  // namespace tercet
