// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace tercet {

// What softmax needs to know of one row of logits, summed in double.
struct SoftmaxRow {
  double log_normalizer = 0;  // log(sum(exp(logit))): log p(id) = logit[id] - log_normalizer
  int64_t best = 0;           // id of the highest logit, the lowest among equals
};

// logits: [vocab_size], not empty. A row that holds a NaN, +inf or nothing finite gives a
// log_normalizer that is not finite.
SoftmaxRow softmax_row(std::span<const float> logits);

// KL(p || q) in nats of the distributions behind two rows of equal length.
double kl_divergence(std::span<const float> p, const SoftmaxRow& p_row, std::span<const float> q,
                     const SoftmaxRow& q_row);

}  // namespace tercet
