// SPDX-License-Identifier: Apache-2.0
#include "model/attention.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace tercet {

void attend(const float* query, const float* keys, const float* values, int64_t positions,
            int64_t head_dim, float scale, const KernelTable& kernels, float* out) {
  constexpr int64_t kBlock = 64;
  std::array<float, kBlock> scores;
  float maximum = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;
  std::fill(out, out + head_dim, 0.0f);

  for (int64_t start = 0; start < positions; start += kBlock) {
    const int64_t count = std::min(kBlock, positions - start);
    kernels.dot_f32(keys + start * head_dim, count, head_dim, query, scores.data());
    float block_maximum = maximum;
    for (int64_t i = 0; i < count; ++i) {
      float& score = scores[static_cast<size_t>(i)];
      score *= scale;
      block_maximum = std::max(block_maximum, score);
    }
    // What was summed so far stood relative to the old maximum.
    const float correction = std::exp(maximum - block_maximum);
    maximum = block_maximum;
    sum *= correction;
    for (int64_t d = 0; d < head_dim; ++d) out[d] *= correction;

    for (int64_t i = 0; i < count; ++i) {
      const float weight = std::exp(scores[static_cast<size_t>(i)] - maximum);
      const float* value = values + (start + i) * head_dim;
      sum += weight;
      for (int64_t d = 0; d < head_dim; ++d) out[d] += weight * value[d];
    }
  }
  const float inverse = 1.0f / sum;
  for (int64_t d = 0; d < head_dim; ++d) out[d] *= inverse;
}

}  // namespace tercet
