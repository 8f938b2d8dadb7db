// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/generic/vectors.inl.h"

// The fast Walsh-Hadamard transform. Each sum has a fixed pair of terms, so that the width of
// registers does not show. Anonymous namespace: see float_dot.inl.h.
namespace tercet {
namespace {

// Element i becomes the sum of i and i + kHalf, i + kHalf their difference, within a register.
template <class Floats, int kHalf, size_t... kLane>
[[gnu::always_inline]] inline Floats butterflies(Floats x, std::index_sequence<kLane...>) {
  const Floats partner =
      __builtin_shufflevector(x, x, static_cast<int>(kLane ^ static_cast<size_t>(kHalf))...);
  // Times one or minus one, which is exact.
  const Floats sign = {((kLane & static_cast<size_t>(kHalf)) != 0 ? -1.0f : 1.0f)...};
  return partner + sign * x;
}

// The stages within a register, halves from kHalf down.
template <class V, int kHalf>
[[gnu::always_inline]] inline typename V::Floats small_stages(typename V::Floats x) {
  if constexpr (kHalf == 0) {
    return x;
  } else {
    return small_stages<V, kHalf / 2>(butterflies<typename V::Floats, kHalf>(
        x, std::make_index_sequence<static_cast<size_t>(V::kFloats)>{}));
  }
}

// One stage over a block, halves of at least a register.
template <class V>
[[gnu::always_inline]] inline void large_stage(float* x, int64_t block, int64_t half) {
  using Floats = typename V::Floats;
  for (int64_t start = 0; start < block; start += 2 * half) {
    for (int64_t i = start; i < start + half; i += V::kFloats) {
      const Floats a = load<Floats>(x + i);
      const Floats b = load<Floats>(x + i + half);
      store(a + b, x + i);
      store(a - b, x + i + half);
    }
  }
}

// Blocks shorter than a register.
inline void short_block(float* x, int64_t block, float factor) {
  for (int64_t half = block / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < block; ++i) {
      if ((i & half) != 0) continue;
      const float a = x[i];
      const float b = x[i + half];
      x[i] = a + b;
      x[i + half] = a - b;
    }
  }
  for (int64_t i = 0; i < block; ++i) x[i] *= factor;
}

template <class V>
void hadamard(float* x, int64_t n, int64_t block) {
  using Floats = typename V::Floats;
  const float factor = static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(block)));
  for (float* from = x; from < x + n; from += block) {
    if (block < V::kFloats) {
      short_block(from, block, factor);
      continue;
    }
    for (int64_t half = block / 2; half >= V::kFloats; half /= 2) {
      large_stage<V>(from, block, half);
    }
    for (int64_t i = 0; i < block; i += V::kFloats) {
      store(small_stages<V, V::kFloats / 2>(load<Floats>(from + i)) * factor, from + i);
    }
  }
}

}  // namespace
}  // namespace tercet
