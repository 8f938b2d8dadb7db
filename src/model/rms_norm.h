// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace tercet {

// out[i] = (x[i] / sqrt(mean(x^2) + eps)) * weight[i], in f32 with the sum of squares in double.
// x and out: [weight.size()]; they may be the same.
void rms_norm(const float* x, std::span<const float> weight, float eps, float* out);

}  // namespace tercet
