// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>

#include <vector>

#include "learn/nn/low_bit_form.h"

namespace tercet::learn {

// The sum of body(x of the group, weights of the group) over the form's groups of columns.
template <typename Body>
at::Tensor sum_over_groups(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                           int64_t groups, const Body& body) {
  if (groups == 1) return body(x.contiguous(), weights);
  const int64_t width = x.size(1) / groups;
  const std::vector<at::Tensor> inputs = x.split(width, 1);
  // Split at once, so that the gradients of a weight are put together at once.
  std::vector<std::vector<at::Tensor>> columns;
  for (const at::Tensor& weight : weights) columns.push_back(weight.split(width, 1));
  at::Tensor sum;
  for (size_t group = 0; group < inputs.size(); ++group) {
    std::vector<at::Tensor> parts;
    for (const auto& of_weight : columns) parts.push_back(of_weight[group]);
    const at::Tensor term = body(inputs[group].contiguous(), parts);
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

// What a shifted form subtracts from x: [tokens, 1].
inline at::Tensor shift_of(const at::Tensor& x, InputRange range) {
  const at::Tensor constant = x.detach();
  if (range == InputRange::kAllTokens) return constant.min().expand({x.size(0), 1});
  return constant.amin(1, true);
}

}  // namespace tercet::learn
