// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "learn/nn/loops/loop_table.h"
#include "learn/nn/loops/vector_math.inl.h"

namespace tercet::learn {
namespace {

// With e = exp(-2 k |w|) and C = cosh k the sum of both tanh is one fraction, which neither
// overflows nor cancels where k is large:
//   soft(w) = sign(w) (1 - e^2) / ((1 + e^2 + 2 C e) tanh k)
//   soft'(w) = 4 k e (2 e + C (1 + e^2)) / ((1 + e^2 + 2 C e)^2 tanh k)
void soft_ternary(const SoftTernary& form, const float* w, int64_t n, float* y) {
  const SoftTernary f = form;
  for (int64_t i = 0; i < n; ++i) {
    const float e = exponential(-2.0f * f.sharpness * magnitude(w[i]));
    const float square = e * e;
    const float size = (1.0f - square) * f.unit / (1.0f + square + 2.0f * f.cosine * e);
    y[i] = w[i] < 0.0f ? -size : size;
  }
}

float soft_ternary_backward(const SoftTernary& form, const float* w, const float* dy, int64_t n,
                            float* dw) {
  const SoftTernary f = form;
  return sum_over(n, [=](int64_t i) {
    const float e = exponential(-2.0f * f.sharpness * magnitude(w[i]));
    const float square = e * e;
    const float divisor = 1.0f / (1.0f + square + 2.0f * f.cosine * e);
    const float size = (1.0f - square) * f.unit * divisor;
    const float slope = 4.0f * f.sharpness * f.unit * (e * divisor) *
                        ((2.0f * e + f.cosine * (1.0f + square)) * divisor);
    dw[i] = dy[i] * slope;
    return dy[i] * (w[i] < 0.0f ? -size : size);
  });
}

void hard_ternary(const float* w, int64_t n, float unit, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = unit * round_even(smaller(larger(w[i], -1.0f), 1.0f));
}

float hard_ternary_backward(const float* w, const float* dy, int64_t n, float unit, float* dw) {
  return sum_over(n, [=](int64_t i) {
    dw[i] = dy[i] * unit;
    return dy[i] * unit * round_even(smaller(larger(w[i], -1.0f), 1.0f));
  });
}

}  // namespace
}  // namespace tercet::learn
