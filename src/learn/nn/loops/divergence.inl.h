// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "learn/nn/loops/vector_math.inl.h"

namespace tercet::learn {
namespace {

template <typename Store>
double divergence(const Store* wanted, Store* logits, int64_t rows, int64_t vocab,
                  float gradient_scale) {
  double sum = 0.0;
  for (int64_t r = 0; r < rows; ++r) {
    const Store* p = wanted + r * vocab;
    Store* q = logits + r * vocab;
    const float top_p = max_over(vocab, -3e38f, [p](int64_t i) { return load(p, i); });
    const float top_q = max_over(vocab, -3e38f, [q](int64_t i) { return load(q, i); });
    const float sum_p = sum_over(vocab, [=](int64_t i) { return exponential(load(p, i) - top_p); });
    const float sum_q = sum_over(vocab, [=](int64_t i) { return exponential(load(q, i) - top_q); });
    const float share_p = 1.0f / sum_p;
    const float share_q = 1.0f / sum_q;
    // Both shifted by their tops, so that sums of small differences stay exact.
    const float between = sum_over(vocab, [=](int64_t i) {
      const float from = load(p, i) - top_p;
      return exponential(from) * share_p * (from - (load(q, i) - top_q));
    });
    sum += double{between} - std::log(double{sum_p}) + std::log(double{sum_q});
    for (int64_t i = 0; i < vocab; ++i) {
      const float given = exponential(load(q, i) - top_q) * share_q;
      const float aimed = exponential(load(p, i) - top_p) * share_p;
      store(q, i, (given - aimed) * gradient_scale);
    }
  }
  return sum;
}

}  // namespace
}  // namespace tercet::learn
