// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>

#include <cmath>

#include "learn/nn/reference_ops.h"

namespace tercet::learn::reference {
namespace {

at::Tensor fade(const at::Tensor& latent, const at::Tensor& quantized, double share) {
  return latent + (share * (quantized - latent)).detach();
}

// What x becomes, [tokens, in]; groups stand in a dimension of their own meanwhile.
at::Tensor rounded_input(const at::Tensor& latent, const LowBitForm& form) {
  const int64_t tokens = latent.size(0);
  const at::Tensor x = latent.detach().view({tokens, form.groups, -1});
  if (form.range == InputRange::kFourBits) {
    const at::Tensor mean = x.to(at::kDouble).abs().mean(-1, true).to(at::kFloat);
    const at::Tensor scale = std::sqrt(7.0) / mean.clamp_min(1e-5);
    return ((x * scale).round().clamp(-8, 7) / scale).view_as(latent);
  }
  using Dimensions = std::vector<int64_t>;
  const Dimensions over = form.range == InputRange::kPerToken ? Dimensions{2} : Dimensions{0, 2};
  const at::Tensor shift = form.shifted ? x.amin(over, true) : at::zeros({1}, x.options());
  const at::Tensor scale = 127.0 / (x - shift).abs().amax(over, true).clamp_min(1e-5);
  return (((x - shift) * scale).round().clamp(-128, 127) / scale + shift).view_as(latent);
}

at::Tensor rounded_weight(const at::Tensor& latent, const LowBitForm& form) {
  const at::Tensor w = latent.detach().view({latent.size(0), form.groups, -1});
  const std::vector<int64_t> over{0, 2};
  const at::Tensor scale = w.to(at::kDouble).abs().mean(over, true).to(at::kFloat).clamp_min(1e-5);
  if (form.kind == LinearKind::kB1) {
    const at::Tensor centre = w.to(at::kDouble).mean(over, true).to(at::kFloat);
    return (((w > centre).to(at::kFloat) * 2 - 1) * scale).view_as(latent);
  }
  return ((w * (1.0 / scale)).round().clamp(-1, 1) * scale).view_as(latent);
}

}  // namespace

at::Tensor hadamard(const at::Tensor& x) {
  const int64_t block = hadamard_block(x.size(1));
  at::Tensor y = x.reshape({-1, block});
  for (int64_t half = block / 2; half > 0; half /= 2) {
    const at::Tensor pairs = y.reshape({-1, 2, half});
    const at::Tensor a = pairs.select(1, 0), b = pairs.select(1, 1);
    y = at::stack({a + b, a - b}, 1);
  }
  return y.reshape(x.sizes()) / std::sqrt(static_cast<double>(block));
}

at::Tensor keep_largest(const at::Tensor& x, int64_t count) {
  const at::Tensor magnitude = x.detach().abs();
  const at::Tensor least = std::get<0>(magnitude.topk(count, 1)).narrow(1, count - 1, 1);
  return x * (magnitude >= least);
}

at::Tensor low_bit_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute, const LowBitForm& form) {
  return reference::fading_linear(x, weights, compute, form, 1.0);
}

at::Tensor fading_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                         at::ScalarType compute, const LowBitForm& form, double share) {
  std::vector<at::Tensor> between;
  for (const at::Tensor& weight : weights) {
    between.push_back(fade(weight, rounded_weight(weight, form), share));
  }
  return dense_linear(fade(x, rounded_input(x, form), share), between, compute);
}

}  // namespace tercet::learn::reference
