// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/moments.h"

#include <ATen/ATen.h>

#include <array>

#include "core/error.h"

namespace tercet::learn {
namespace {

// Of the mean channel, what a silent channel counts for.
constexpr double kSilent = 1e-6;

void accumulate(at::Tensor& sum, const at::Tensor& left, const at::Tensor& right) {
  const at::Tensor product = at::matmul(left.t(), right).to(at::kDouble);
  if (sum.defined()) {
    sum.add_(product);
  } else {
    sum = product;
  }
}

void add_sum(at::Tensor& sum, const at::Tensor& other) {
  if (!other.defined()) return;
  sum = sum.defined() ? sum + other : other;
}

}  // namespace

void Moments::add(const at::Tensor& x_q, const at::Tensor& x_f, const at::Tensor& r_f,
                  const at::Tensor& r_q) {
  accumulate(qq, x_q, x_q);
  if (x_f.defined()) accumulate(fq, x_f, x_q);
  if (x_f.defined() && r_f.defined()) accumulate(residual, r_f - r_q, x_q);
  tokens += x_q.size(0);
}

void Moments::add(const Moments& other) {
  add_sum(qq, other.qq);
  add_sum(fq, other.fq);
  add_sum(residual, other.residual);
  tokens += other.tokens;
}

LayerTarget layer_target(const at::Tensor& weight, const Moments& moments, double lambda,
                         double gamma, const char* name) {
  const at::Tensor h = moments.qq / static_cast<double>(moments.tokens);
  const at::Tensor diagonal = h.diagonal();
  const double mean = diagonal.mean().item<double>();
  if (!(mean > 0)) {
    fail(ErrorCode::kBadInput,
         "'{}' gets nothing but zeros from the calibration text; use other text, or leave it out "
         "with --only",
         name);
  }
  const at::Tensor damping = at::diag(diagonal * lambda + kSilent * mean);
  const at::Tensor damped = h + damping;
  LayerTarget out{weight, damped.to(at::kFloat).contiguous()};
  if (gamma == 0) return out;
  const at::Tensor exact = weight.to(at::kDouble);
  at::Tensor right = at::matmul(exact, moments.fq);
  if (moments.residual.defined()) right = right + moments.residual;
  right = right / static_cast<double>(moments.tokens) + at::matmul(exact, damping);
  const at::Tensor factor = at::linalg_cholesky(damped);
  const at::Tensor solved = at::cholesky_solve(right.t().contiguous(), factor).t();
  out.weight = (gamma * solved + (1 - gamma) * exact).to(at::kFloat).contiguous();
  return out;
}

double output_objective(const at::Tensor& values, const at::Tensor& weight, const Moments& moments,
                        double gamma, Team team) {
  const at::Tensor w = values.to(at::kDouble);
  const at::Tensor exact = weight.to(at::kDouble);
  at::Tensor wanted = (1 - gamma) * at::matmul(exact, moments.qq);
  if (gamma != 0) {
    wanted = wanted + gamma * at::matmul(exact, moments.fq);
    if (moments.residual.defined()) wanted = wanted + gamma * moments.residual;
  }
  double sum = (w * (at::matmul(w, moments.qq) - 2 * wanted)).sum().item<double>();
  team.sum({&sum, 1});
  return sum / static_cast<double>(moments.tokens);
}

double relative_error(const at::Tensor& values, const LayerTarget& target, Team team) {
  const auto size = [&](const at::Tensor& x) {
    return (at::matmul(x, target.h) * x).sum(at::kDouble).item<double>();
  };
  std::array<double, 2> sums = {size(target.weight - values), size(target.weight)};
  team.sum(sums);
  return sums[1] > 0 ? sums[0] / sums[1] : 0;
}

}  // namespace tercet::learn
