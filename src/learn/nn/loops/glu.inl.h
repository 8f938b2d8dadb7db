// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/nn/loops/vector_math.inl.h"

namespace tercet::learn {
namespace {

struct Silu {
  static float value(float x) { return x / (1.0f + exponential(-x)); }
  static float slope(float x) {
    const float sigmoid = 1.0f / (1.0f + exponential(-x));
    return sigmoid * (1.0f + x * (1.0f - sigmoid));
  }
};

struct Relu2 {
  static float value(float x) { return larger(x, 0.0f) * larger(x, 0.0f); }
  static float slope(float x) { return 2.0f * larger(x, 0.0f); }
};

template <typename Act>
void glu(const float* gate_up, int64_t rows, int64_t n, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* gate = gate_up + r * 2 * n;
    const float* up = gate + n;
    float* out = y + r * n;
    for (int64_t i = 0; i < n; ++i) out[i] = Act::value(gate[i]) * up[i];
  }
}

template <typename Act>
void glu_backward(const float* gate_up, const float* dy, int64_t rows, int64_t n, float* dgate_up) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* gate = gate_up + r * 2 * n;
    const float* up = gate + n;
    const float* grad = dy + r * n;
    float* dgate = dgate_up + r * 2 * n;
    float* dup = dgate + n;
    for (int64_t i = 0; i < n; ++i) {
      dgate[i] = grad[i] * up[i] * Act::slope(gate[i]);
      dup[i] = grad[i] * Act::value(gate[i]);
    }
  }
}

}  // namespace
}  // namespace tercet::learn
