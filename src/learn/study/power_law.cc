// SPDX-License-Identifier: Apache-2.0
#include "learn/study/power_law.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace tercet::learn {
namespace {

constexpr int kRounds = 8;  // of reweighting; errors fall by orders of magnitude in each

// log p - log L is linear around a prediction p: weight 1 / p^2 and target p (1 - log p + log L).
struct Weighted {
  double weight;
  double target;
};

Weighted around(double prediction, double log_loss) {
  const double p = std::max(prediction, std::numeric_limits<double>::min());
  return {1 / (p * p), p * (1 - std::log(p) + log_loss)};
}

// Weighted least squares of target = A x + c with A, c >= 0.
struct Sums {
  double w = 0, x = 0, xx = 0, y = 0, xy = 0;

  void add(double at, const Weighted& value) {
    w += value.weight;
    x += value.weight * at;
    xx += value.weight * at * at;
    y += value.weight * value.target;
    xy += value.weight * at * value.target;
  }

  // The quadratic form, without its constant part.
  double cost(double a, double c) const {
    return a * a * xx + 2 * a * c * x + c * c * w - 2 * a * xy - 2 * c * y;
  }

  void solve(double& a, double& c) const {
    const double determinant = w * xx - x * x;
    if (determinant > 1e-14 * w * xx) {
      a = (w * xy - x * y) / determinant;
      c = (xx * y - x * xy) / determinant;
      if (a >= 0 && c >= 0) return;
    }
    const double only_a = std::max(xy / xx, 0.0);
    const double only_c = std::max(y / w, 0.0);
    const bool power = cost(only_a, 0) <= cost(0, only_c);
    a = power ? only_a : 0;
    c = power ? 0 : only_c;
  }
};

}  // namespace

// A = a + t da, c = c + t dc for t in [0, t_high].
struct PowerLawFit::Line {
  double a, c, da, dc, t_high;
};

PowerLawFit::PowerLawFit(const std::vector<ScalingPoint>& points) {
  for (const ScalingPoint& point : points) {
    log_sizes_.push_back(std::log(point.size));
    losses_.push_back(point.loss);
    log_losses_.push_back(std::log(point.loss));
    log_reference_ += std::log(point.size) / static_cast<double>(points.size());
    largest_loss_ = std::max(largest_loss_, point.loss);
  }
  for (double& log_size : log_sizes_) log_size -= log_reference_;
}

double PowerLawFit::power(double size, double b) const {
  return std::exp(b * (std::log(size) - log_reference_));
}

double PowerLawFit::law_a(double a, double b) const { return a * std::exp(-b * log_reference_); }

std::vector<double> PowerLawFit::powers(double b) const {
  std::vector<double> x(log_sizes_.size());
  std::transform(log_sizes_.begin(), log_sizes_.end(), x.begin(),
                 [b](double log_size) { return std::exp(b * log_size); });
  return x;
}

double PowerLawFit::squares(const std::vector<double>& x, double a, double c) const {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference =
        std::log(std::max(a * x[i] + c, std::numeric_limits<double>::min())) - log_losses_[i];
    sum += difference * difference;
  }
  return sum;
}

PowerLawFit::Coefficients PowerLawFit::best(double b) const {
  const std::vector<double> x = powers(b);
  Coefficients best{0, 0, std::numeric_limits<double>::infinity()};
  double a = 0;
  double c = 0;
  for (int round = 0; round < kRounds; ++round) {
    Sums sums;
    for (size_t i = 0; i < x.size(); ++i) {
      // The first round weighs by the losses themselves.
      const double prediction = round == 0 ? losses_[i] : a * x[i] + c;
      sums.add(x[i], around(prediction, log_losses_[i]));
    }
    sums.solve(a, c);
    const double now = squares(x, a, c);
    if (now < best.squares) best = {a, c, now};
  }
  return best;
}

PowerLawFit::Coefficients PowerLawFit::along(const std::vector<double>& x, const Line& line) const {
  Coefficients best{0, 0, std::numeric_limits<double>::infinity()};
  double t = 0;
  for (int round = 0; round < kRounds; ++round) {
    double top = 0;
    double bottom = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double start = line.a * x[i] + line.c;
      const double slope = line.da * x[i] + line.dc;
      const double prediction = round == 0 ? losses_[i] : start + t * slope;
      const Weighted value = around(prediction, log_losses_[i]);
      top += value.weight * slope * (value.target - start);
      bottom += value.weight * slope * slope;
    }
    t = bottom > 0 ? std::clamp(top / bottom, 0.0, line.t_high) : 0;
    const double a = line.a + t * line.da;
    const double c = line.c + t * line.dc;
    const double now = squares(x, a, c);
    if (now < best.squares) best = {a, c, now};
  }
  return best;
}

PowerLawFit::Coefficients PowerLawFit::best_where(double b, double u, double w, double v) const {
  const std::vector<double> x = powers(b);
  constexpr double kFree = std::numeric_limits<double>::infinity();
  if (w == 0) return along(x, {v / u, 0, 0, 1, kFree});
  if (u == 0) return along(x, {0, v / w, 1, 0, kFree});
  return along(x, {0, v / w, v / u, -v / w, 1});
}

double best_exponent(const std::function<double(double)>& value) {
  constexpr int kGrid = 120;
  const double ratio = std::pow(kSteepestExponent / kFlattestExponent, 1.0 / (kGrid - 1));
  const auto at = [&](double index) { return kFlattestExponent * std::pow(ratio, index); };
  int best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kGrid; ++i) {
    const double now = value(at(i));
    if (now < least) {
      least = now;
      best = i;
    }
  }
  // Golden section between the neighbours.
  const double section = std::numbers::phi - 1;
  double low = std::max(best - 1, 0);
  double high = std::min(best + 1, kGrid - 1);
  double left = high - section * (high - low);
  double right = low + section * (high - low);
  double at_left = value(at(left));
  double at_right = value(at(right));
  for (int i = 0; i < 50; ++i) {
    if (at_left < at_right) {
      high = right;
      right = left;
      at_right = at_left;
      left = high - section * (high - low);
      at_left = value(at(left));
    } else {
      low = left;
      left = right;
      at_left = at_right;
      right = low + section * (high - low);
      at_right = value(at(right));
    }
  }
  return std::min(at_left, at_right) < least ? at((low + high) / 2) : at(best);
}

}  // namespace tercet::learn
