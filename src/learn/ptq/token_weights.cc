// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/token_weights.h"

#include <ATen/ATen.h>

#include "core/error.h"

namespace tercet::learn {

TokenWeights parse_token_weights(const std::string& text) {
  for (const TokenWeights weights : {TokenWeights::kEqual, TokenWeights::kResidual}) {
    if (text == to_string(weights)) return weights;
  }
  fail(ErrorCode::kUsage, "token weights are '{}'; equal and residual are possible", text);
}

const char* to_string(TokenWeights weights) {
  return weights == TokenWeights::kEqual ? "equal" : "residual";
}

at::Tensor token_weights(TokenWeights weights, const at::Tensor& r) {
  if (weights == TokenWeights::kEqual) return at::ones({r.size(0), 1}, r.options());
  return r.square().mean(-1, true).clamp_min(1e-12).reciprocal();
}

}  // namespace tercet::learn
