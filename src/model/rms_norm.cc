// SPDX-License-Identifier: Apache-2.0
#include "model/rms_norm.h"

#include <cmath>

namespace tercet {

void rms_norm(const float* x, std::span<const float> weight, float eps, float* out) {
  double squares = 0;
  for (size_t i = 0; i < weight.size(); ++i) squares += static_cast<double>(x[i]) * x[i];
  const double mean = squares / static_cast<double>(weight.size());
  const float inverse = static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(eps)));
  for (size_t i = 0; i < weight.size(); ++i) out[i] = (x[i] * inverse) * weight[i];
}

}  // namespace tercet
