// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "learn/study/scaling_fit.h"

namespace tercet::learn {

// The sums of squares behind fit_scaling_law(): how well p_i = A x_i + c, x_i = (N_i / N_0)^b, with
// A >= 0 and c >= 0 can meet the losses, measured as sum (log p_i - log L_i)^2. N_0 is the
// geometric mean of the sizes, so that A and c are of one magnitude.
class PowerLawFit {
 public:
  explicit PowerLawFit(const std::vector<ScalingPoint>& points);

  struct Coefficients {
    double a = 0;  // of x
    double c = 0;
    double squares = 0;
  };
  // The best A and c for this exponent.
  Coefficients best(double b) const;

  // The best among those with u A + w c = v; u, w >= 0, not both 0, v >= 0.
  Coefficients best_where(double b, double u, double w, double v) const;

  // (size / N_0)^b.
  double power(double size, double b) const;
  // A of this exponent as the law's a, which stands before N^b.
  double law_a(double a, double b) const;
  double largest_loss() const { return largest_loss_; }

 private:
  struct Line;  // coefficients that depend on one number
  double squares(const std::vector<double>& x, double a, double c) const;
  Coefficients along(const std::vector<double>& x, const Line& line) const;
  std::vector<double> powers(double b) const;

  std::vector<double> log_sizes_;  // log(N_i / N_0)
  std::vector<double> losses_;
  std::vector<double> log_losses_;
  double log_reference_ = 0;  // log N_0
  double largest_loss_ = 0;
};

inline constexpr double kFlattestExponent = -0.003;
inline constexpr double kSteepestExponent = -5;

// The exponent in [kSteepestExponent, kFlattestExponent] with the least value(b): the best of a
// grid, refined between its neighbours.
double best_exponent(const std::function<double(double)>& value);

}  // namespace tercet::learn
