// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace tercet::learn {

// What the error at a token counts for where it adds to the residual stream: the same everywhere,
// or as much as it turns the stream. In trained models the stream of some tokens, mostly the first
// of a window, is hundreds of times longer than that of the others, which count for nothing beside
// them when all weigh the same.
enum class TokenWeights { kEqual, kResidual };
TokenWeights parse_token_weights(const std::string& text);  // "equal", "residual". Throws kUsage.
const char* to_string(TokenWeights weights);

// [tokens, 1], from the residual stream r [tokens, width] of the full-precision model.
at::Tensor token_weights(TokenWeights weights, const at::Tensor& r);

}  // namespace tercet::learn
