// SPDX-License-Identifier: Apache-2.0
#include "learn/bit_linear/bit_linear.h"

#include <torch/nn/init.h>

#include <cmath>

#include "learn/bit_linear/product.h"

namespace tercet {
namespace {

const char* to_string(BitKind kind) { return kind == BitKind::kB1 ? "b1" : "b1.58"; }

const char* to_string(ActivationRange range) {
  switch (range) {
    case ActivationRange::kPerTensor:
      return "per tensor";
    case ActivationRange::kPerTensorWhenGradRecorded:
      return "per tensor when gradients are recorded";
    case ActivationRange::kPerTokenFourBits:
      return "per token, 4 bits";
    case ActivationRange::kPerToken:
      break;
  }
  return "per token";
}

const char* to_string(InputNorm norm) {
  switch (norm) {
    case InputNorm::kRms:
      return "rms";
    case InputNorm::kLayer:
      return "layer";
    case InputNorm::kNone:
      break;
  }
  return "none";
}

}  // namespace

BitLinearOptions BitLinearOptions::b1() {
  return BitLinearOptions()
      .kind(BitKind::kB1)
      .activation_range(ActivationRange::kPerTensorWhenGradRecorded)
      .input_norm(InputNorm::kLayer);
}

BitLinearImpl::BitLinearImpl(const torch::nn::LinearOptions& linear_options,
                             const BitLinearOptions& bit_options)
    : options(linear_options), bits(bit_options) {
  reset();
}

void BitLinearImpl::reset() {
  weight =
      register_parameter("weight", torch::empty({options.out_features(), options.in_features()}));
  if (options.bias()) {
    bias = register_parameter("bias", torch::empty(options.out_features()));
  } else {
    bias = register_parameter("bias", {}, /*requires_grad=*/false);
  }
  reset_parameters();
}

void BitLinearImpl::reset_parameters() {
  torch::nn::init::kaiming_uniform_(weight, std::sqrt(5));
  if (!bias.defined()) return;
  const double bound = 1 / std::sqrt(static_cast<double>(options.in_features()));
  torch::nn::init::uniform_(bias, -bound, bound);
}

void BitLinearImpl::pretty_print(std::ostream& stream) const {
  stream << std::boolalpha << "tercet::BitLinear(in_features=" << options.in_features()
         << ", out_features=" << options.out_features() << ", bias=" << options.bias()
         << ", kind=" << to_string(bits.kind())
         << ", activation_range=" << to_string(bits.activation_range())
         << ", input_norm=" << to_string(bits.input_norm()) << ")";
}

torch::Tensor BitLinearImpl::forward(const torch::Tensor& input) {
  return bit_product(input, weight, bias, bits);
}

}  // namespace tercet
