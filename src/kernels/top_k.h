// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace tercet {

// The `count`-th largest magnitude of x, 1 <= count <= size; NaN counts as larger than all numbers.
float kth_largest_magnitude(std::span<const float> x, int64_t count);

// Zeroes all of x whose magnitude is below that.
void keep_largest(std::span<float> x, int64_t count);

}  // namespace tercet
