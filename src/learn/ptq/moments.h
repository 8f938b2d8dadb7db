// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "learn/dist/team.h"

namespace tercet::learn {

// Wider sums are kept as f32: in double, one matrix for the 28,672 channels of a 70B model would
// take 6.6 GB.
inline constexpr int64_t kWidestDouble = 16384;
at::ScalarType moment_type(int64_t cols);
// Rows of a product that exist at a time, on the way into a sum.
inline constexpr int64_t kMomentStripe = 4096;

// Second moments of what enters a linear map, over calibration tokens; f: in the full-precision
// model, q: in the quantized one. Sums, not means; double on the CPU, f32 beyond 16,384 columns.
struct Moments {
  at::Tensor qq;        // [cols, cols] sum x_q x_q'
  at::Tensor fq;        // [cols, cols] sum x_f x_q', undefined without cross terms
  at::Tensor residual;  // [rows, cols] sum (r_f - r_q) x_q' for maps that write to the residual
                        // stream r, undefined for others and without cross terms
  int64_t tokens = 0;

  // x_f, x_q: [tokens, cols]; r_f, r_q: [tokens, rows] or undefined. x_f undefined: no cross terms.
  // compute: what the products take, and give, before these are summed.
  void add(const at::Tensor& x_q, const at::Tensor& x_f, const at::Tensor& r_f,
           const at::Tensor& r_q, at::ScalarType compute = at::kFloat);
};

// What a linear map should become: minimise (target - W) h (target - W)' summed over rows.
struct LayerTarget {
  at::Tensor weight;   // [rows, cols] f32
  at::Tensor h;        // [cols, cols] f32, symmetric, positive definite
  std::string name{};  // of the map, for errors
};

// L with L L' = matrix (in double); upper: L'. Throws kBadInput naming `name` for a matrix that is
// not positive definite.
at::Tensor cholesky_factor(const at::Tensor& matrix, const std::string& name, bool upper = false);

// methods.md 25: with H = qq, D = lambda diag(H): W_s = (W_f fq + residual + W_f D) (H + D)^-1,
// target = gamma W_s + (1 - gamma) W_f, h = H + D, both divided by the tokens. W_f: weight
// [rows, cols]. gamma 0 needs no cross terms. Channels that never fire get a small weight of their
// own, so that h can be inverted. Moments that nobody else holds are let go as soon as they are
// used. Throws kBadInput naming `name` when no channel fires or h is singular all the same.
LayerTarget layer_target(const at::Tensor& weight, Moments moments, double lambda, double gamma,
                         const char* name);

// How well `values` does what the target of gamma asks for, per token and without the part that no
// weights can change: tr(W H W') - 2 tr(W C'), C = gamma (W_f fq + residual) + (1 - gamma) W_f H.
// Here and below, the ranks of `team` have other rows, which count as well.
double output_objective(const at::Tensor& values, const at::Tensor& weight, const Moments& moments,
                        double gamma, Team team = {});

// tr((target - values) h (target - values)') / tr(target h target').
double relative_error(const at::Tensor& values, const LayerTarget& target, Team team = {});

}  // namespace tercet::learn
