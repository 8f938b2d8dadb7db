// SPDX-License-Identifier: Apache-2.0
#include "kernels/top_k.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <vector>

namespace tercet {

float kth_largest_magnitude(std::span<const float> x, int64_t count) {
  // Magnitudes order like their bits, NaN above all numbers.
  std::vector<uint32_t> bits(x.size());
  std::transform(x.begin(), x.end(), bits.begin(),
                 [](float value) { return std::bit_cast<uint32_t>(std::fabs(value)); });
  const auto place = bits.begin() + (count - 1);
  std::nth_element(bits.begin(), place, bits.end(), std::greater<>());
  return std::bit_cast<float>(*place);
}

void keep_largest(std::span<float> x, int64_t count) {
  const float least = kth_largest_magnitude(x, count);
  for (float& value : x) {
    if (std::fabs(value) < least) value = 0.0f;
  }
}

}  // namespace tercet
