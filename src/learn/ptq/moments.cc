// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/moments.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace tercet::learn {
namespace {

// Of the mean channel, what a silent channel counts for.
constexpr double kSilent = 1e-6;

void accumulate(at::Tensor& sum, const at::Tensor& left, const at::Tensor& right) {
  const int64_t rows = left.size(1);
  if (!sum.defined()) {
    sum = at::zeros({rows, right.size(1)}, moment_type(right.size(1)));
  }
  for (int64_t first = 0; first < rows; first += kMomentStripe) {
    const int64_t count = std::min(kMomentStripe, rows - first);
    sum.narrow(0, first, count).add_(at::matmul(left.narrow(1, first, count).t(), right));
  }
}

[[noreturn]] void fail_singular(const std::string& name) {
  fail(ErrorCode::kBadInput,
       "'{}': the second moments of its inputs cannot be inverted; give more calibration text or a "
       "larger --shrinkage",
       name);
}

}  // namespace

at::Tensor cholesky_factor(const at::Tensor& matrix, const std::string& name, bool upper) {
  const auto [factor, info] = at::linalg_cholesky_ex(matrix.to(at::kDouble), upper);
  if (info.item<int>() != 0) fail_singular(name);
  return factor;
}

at::ScalarType moment_type(int64_t cols) { return cols > kWidestDouble ? at::kFloat : at::kDouble; }

void Moments::add(const at::Tensor& x_q, const at::Tensor& x_f, const at::Tensor& r_f,
                  const at::Tensor& r_q, at::ScalarType compute) {
  const at::Tensor x = x_q.to(compute);
  accumulate(qq, x, x);
  if (x_f.defined()) accumulate(fq, x_f.to(compute), x);
  if (x_f.defined() && r_f.defined()) accumulate(residual, (r_f - r_q).to(compute), x);
  tokens += x_q.size(0);
}

namespace {

// right (H + D)^-1; `damped`, H + D, is used up, and so is right.
at::Tensor divided_by(at::Tensor right, at::Tensor damped, const char* name) {
  // Seen in columns, which LAPACK works on in place; symmetric, so the same matrix.
  at::Tensor lower = damped.t();
  at::Tensor info = at::empty({}, at::kInt);
  at::linalg_cholesky_ex_out(lower, info, lower);
  if (info.item<int>() != 0) fail_singular(name);
  right = at::linalg_solve_triangular(lower.t(), right, /*upper=*/true, /*left=*/false);
  return at::linalg_solve_triangular(lower, right, /*upper=*/false, /*left=*/false);
}

// gamma W_s + (1 - gamma) W_f. Lets go of what it has used of the moments.
at::Tensor corrected(const at::Tensor& weight, Moments& moments, const at::Tensor& damping,
                     double gamma, const char* name) {
  const double tokens = static_cast<double>(moments.tokens);
  at::Tensor right = at::matmul(weight.to(moments.fq.scalar_type()), moments.fq);
  if (moments.residual.defined()) right.add_(moments.residual);
  moments.fq.reset();
  moments.residual.reset();
  right = right.to(at::kDouble).div_(tokens).add_(weight * damping);
  at::Tensor damped = moments.qq.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  damped.div_(tokens).diagonal().add_(damping);
  const at::Tensor solved = divided_by(std::move(right), std::move(damped), name);
  return (gamma * solved).add_(weight, 1 - gamma).to(at::kFloat).contiguous();
}

}  // namespace

LayerTarget layer_target(const at::Tensor& weight, Moments moments, double lambda, double gamma,
                         const char* name) {
  const double tokens = static_cast<double>(moments.tokens);
  const at::Tensor diagonal = moments.qq.diagonal().to(at::kDouble) / tokens;
  const double mean = diagonal.mean().item<double>();
  if (!std::isfinite(mean)) {
    fail(ErrorCode::kBadInput, "'{}' gets numbers that are not finite from the calibration text",
         name);
  }
  if (mean <= 0) {
    fail(ErrorCode::kBadInput,
         "'{}' gets nothing but zeros from the calibration text; use other text, or leave it out "
         "with --only",
         name);
  }
  const at::Tensor damping = diagonal * lambda + kSilent * mean;
  LayerTarget out{weight, {}, name};
  if (gamma != 0) out.weight = corrected(weight, moments, damping, gamma, name);
  at::Tensor damped = moments.qq / tokens;
  damped.diagonal().add_(damping);
  out.h = damped.to(at::kFloat).contiguous();
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
