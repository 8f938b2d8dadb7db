// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tercet::learn {

// A trained model: its size (parameters, however counted) and its loss in nats per token. Several
// runs of one size (other seeds) are several points.
struct ScalingPoint {
  double size = 0;
  double loss = 0;
};

// L(N) = a N^b + c (BitNet, section 3.2), a >= 0, b < 0, c >= 0.
struct ScalingLaw {
  double a = 0;
  double b = 0;
  double c = 0;
  double operator()(double size) const;
};

// 95 % limits; empty ends: the data do not bound it on that side.
struct Interval {
  std::optional<double> low;
  std::optional<double> high;
};

struct ScalingFit {
  ScalingLaw law;
  double rms_relative_residual = 0;  // of log L over the points
  int64_t degrees_of_freedom = 0;    // points - 3
  // Nothing when the points leave no degree of freedom and no noise was given.
  std::optional<Interval> a, b, c;
  std::string interval_method;  // what the intervals are, or why there are none; one sentence
};

// Least squares in log L over all (a, c) for each b of a grid, the best b refined. Intervals are
// those of the profile likelihood: all values of a parameter with which the others can still fit so
// well that the F test at 95 % (with the residuals' own variance), or the chi-squared test (with
// `noise`, the relative standard deviation of a loss between seeds, when above 0), does not refuse
// them. Throws kUsage for fewer than three different sizes, kBadInput for a size or loss that is
// not finite and above 0.
ScalingFit fit_scaling_law(const std::vector<ScalingPoint>& points, double noise);

// The same interval for the loss at another size. Nothing where the fit has none.
std::optional<Interval> predicted_loss(const std::vector<ScalingPoint>& points, double noise,
                                       double size);

}  // namespace tercet::learn
