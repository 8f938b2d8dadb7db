// SPDX-License-Identifier: Apache-2.0
#include "eval/log_softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tercet {

SoftmaxRow softmax_row(std::span<const float> logits) {
  SoftmaxRow row;
  for (int64_t id = 1; id < std::ssize(logits); ++id) {
    if (logits[id] > logits[row.best]) row.best = id;
  }
  const double best = logits[row.best];
  double sum = 0.0;
  // A NaN anywhere reaches the sum.
  for (const float logit : logits) sum += std::exp(double{logit} - best);
  row.log_normalizer = best + std::log(sum);
  return row;
}

double kl_divergence(std::span<const float> p, const SoftmaxRow& p_row, std::span<const float> q,
                     const SoftmaxRow& q_row) {
  double sum = 0.0;
  for (size_t id = 0; id < p.size(); ++id) {
    const double log_p = double{p[id]} - p_row.log_normalizer;
    const double probability = std::exp(log_p);
    // A token that p excludes (-inf) adds nothing: the limit of x log x.
    if (probability == 0.0) continue;
    sum += probability * (log_p - (double{q[id]} - q_row.log_normalizer));
  }
  // Rounding can leave equal distributions a hair below zero.
  return std::max(sum, 0.0);
}

}  // namespace tercet
