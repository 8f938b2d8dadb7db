// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "learn/nn/loops/vector_math.inl.h"

namespace tercet::learn {
namespace {

template <typename Store>
double cross_entropy(Store* logits, const int64_t* targets, int64_t rows, int64_t vocab,
                     float gradient_scale) {
  double loss = 0.0;
  for (int64_t r = 0; r < rows; ++r) {
    Store* row = logits + r * vocab;
    const int64_t target = targets[r];
    if (target < 0) {
      for (int64_t i = 0; i < vocab; ++i) store(row, i, 0.0f);
      continue;
    }
    const float top = max_over(vocab, -3e38f, [row](int64_t i) { return load(row, i); });
    const float sum = sum_over(vocab, [=](int64_t i) { return exponential(load(row, i) - top); });
    const float target_logit = load(row, target);
    loss += std::log(static_cast<double>(sum)) + top - target_logit;
    const float factor = gradient_scale / sum;
    for (int64_t i = 0; i < vocab; ++i) store(row, i, exponential(load(row, i) - top) * factor);
    const float probability = exponential(target_logit - top) / sum;
    store(row, target, (probability - 1.0f) * gradient_scale);
  }
  return loss;
}

}  // namespace
}  // namespace tercet::learn
