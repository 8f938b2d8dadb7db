// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "learn/ptq/stored_matrix.h"

namespace tercet::learn {

// The embedding of a window, through `type` where given: [tokens, hidden_size] f32.
at::Tensor embedded(const HfModel& model, const std::vector<int32_t>& ids,
                    std::optional<DType> type = std::nullopt);

// What is behind the last block: final norm and head, f32.
class ModelHead {
 public:
  // The matrix goes through `type` where given.
  explicit ModelHead(const HfModel& model, std::optional<DType> type = std::nullopt);

  // r: [tokens, hidden_size], the residual stream behind the last block. [tokens, vocab_size]
  // `compute`: the type of the product.
  at::Tensor log_probabilities(const at::Tensor& r, at::ScalarType compute = at::kFloat) const;

  // What the final norm multiplies with, [hidden_size].
  at::Tensor& norm() { return norm_; }

 private:
  double eps_;
  at::Tensor norm_, matrix_;
};

}  // namespace tercet::learn
