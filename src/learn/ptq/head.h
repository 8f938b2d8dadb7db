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

// What the final norm multiplies with, [hidden_size].
at::Tensor final_norm_of(const HfModel& model);

// What is behind the last block: final norm and head.
class ModelHead {
 public:
  // The matrix goes through `type` where given. `compute`: the type of divergence()'s products.
  explicit ModelHead(const HfModel& model, std::optional<DType> type = std::nullopt,
                     at::ScalarType compute = at::kFloat);

  // r: [tokens, hidden_size], the residual stream behind the last block. [tokens, vocab_size], with
  // products in f32.
  at::Tensor log_probabilities(const at::Tensor& r) const;

  // r through the final norm.
  at::Tensor normed(const at::Tensor& r) const;
  // [vocab_size, hidden_size] in the type of divergence()'s products.
  const at::Tensor& matrix() const { return matrix_; }

  at::Tensor& norm() { return norm_; }

 private:
  double eps_;
  at::Tensor norm_, matrix_;
};

// KL(source || given) of what two models predict behind the residual streams r_source and r, summed
// over positions; logits of some positions exist at a time. Gradients flow to r and to the given
// head's norm. Both heads take their products in one type.
at::Tensor divergence(const ModelHead& source, const at::Tensor& r_source, const ModelHead& given,
                      const at::Tensor& r);

}  // namespace tercet::learn
