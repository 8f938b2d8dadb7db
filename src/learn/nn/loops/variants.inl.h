// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace tercet::learn {
namespace {

inline void fade(const float* x, const int8_t* codes, int64_t n, float unit, float share,
                 float* y) {
  for (int64_t i = 0; i < n; ++i) {
    y[i] = x[i] + share * (static_cast<float>(codes[i]) * unit - x[i]);
  }
}

}  // namespace
}  // namespace tercet::learn
