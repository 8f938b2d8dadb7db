// SPDX-License-Identifier: Apache-2.0
#include "learn/study/scaling_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <set>

#include "core/error.h"
#include "learn/study/power_law.h"

namespace tercet::learn {
namespace {

constexpr int64_t kCoefficients = 3;

// The 97.5 % quantile of Student's t: its square is the 95 % quantile of F(1, degrees).
double student_quantile(int64_t degrees) {
  constexpr std::array<double, 10> kSmall = {12.706, 4.303, 3.182, 2.776, 2.571,
                                             2.447,  2.365, 2.306, 2.262, 2.228};
  if (degrees <= 10) return kSmall[static_cast<size_t>(degrees - 1)];
  const double nu = static_cast<double>(degrees);
  return 1.95996 + 2.3723 / nu + 2.8225 / (nu * nu);  // Cornish and Fisher's expansion
}

// The largest sum of squares that the 95 % test still accepts; nothing when there is no test.
std::optional<double> accepted_squares(double least, int64_t degrees, double noise) {
  constexpr double kChiSquared = 3.8415;
  if (noise > 0) return least + kChiSquared * noise * noise;
  if (degrees < 1) return std::nullopt;
  const double t = student_quantile(degrees);
  return least * (1 + t * t / static_cast<double>(degrees));
}

std::string method_sentence(int64_t degrees, double noise) {
  if (noise > 0) {
    return fmt::format(
        "95 % by profile likelihood, chi-squared test with the given noise of {:g} of the loss",
        noise);
  }
  if (degrees >= 1) {
    return fmt::format("95 % by profile likelihood, F test with {} degree{} of freedom", degrees,
                       degrees == 1 ? "" : "s");
  }
  return "none: as many coefficients as points leave no degree of freedom; add a size or a seed";
}

void check_points(const std::vector<ScalingPoint>& points) {
  std::set<double> sizes;
  for (const ScalingPoint& point : points) {
    if (!std::isfinite(point.size) || !std::isfinite(point.loss) || point.size <= 0 ||
        point.loss <= 0) {
      fail(ErrorCode::kBadInput, "a model of size {} with loss {} cannot be fitted", point.size,
           point.loss);
    }
    sizes.insert(point.size);
  }
  if (sizes.size() < static_cast<size_t>(kCoefficients)) {
    fail(ErrorCode::kUsage, "a scaling law needs three sizes at least, there are {}", sizes.size());
  }
}

// The last accepted value between `inside`, which is accepted, and `outside`; nothing when that is
// accepted, too.
std::optional<double> last_accepted(double inside, double outside,
                                    const std::function<bool(double)>& accepted) {
  if (accepted(outside)) return std::nullopt;
  for (int i = 0; i < 40; ++i) {
    const double middle = 0.5 * (inside + outside);
    (accepted(middle) ? inside : outside) = middle;
  }
  return inside;
}

// A parameter's accepted values around its best one, between `low` and `high`.
Interval interval_around(double best, double low, double high,
                         const std::function<bool(double)>& accepted) {
  return {last_accepted(best, low, accepted), last_accepted(best, high, accepted)};
}

class Profile {
 public:
  Profile(const PowerLawFit& fit, double accepted) : fit_(fit), accepted_(accepted) {}

  Interval exponent(double best) const {
    return interval_around(best, kSteepestExponent, kFlattestExponent,
                           [&](double b) { return fit_.best(b).squares <= accepted_; });
  }

  // c never leaves [0, largest loss], whatever the points say.
  Interval offset(double best) const {
    Interval interval = interval_around(best, 0, fit_.largest_loss(), [&](double c) {
      return holds([](double) { return 0.0; }, 1, c);
    });
    if (!interval.low) interval.low = 0;
    return interval;
  }

  Interval factor(double best) const {
    constexpr double kFar = 60;  // in logarithms
    const double centre = std::log(best);
    Interval interval = interval_around(centre, centre - kFar, centre + kFar, [&](double log_a) {
      return holds([&](double b) { return fit_.law_a(1, b); }, 0, std::exp(log_a));
    });
    if (interval.low) interval.low = std::exp(*interval.low);
    if (interval.high) interval.high = std::exp(*interval.high);
    return interval;
  }

  Interval loss_at(double size, double best) const {
    return interval_around(best, 0, 3 * std::max(best, fit_.largest_loss()), [&](double loss) {
      return holds([&](double b) { return fit_.power(size, b); }, 1, loss);
    });
  }

 private:
  // Whether some law with u(b) A + w c = v fits well enough.
  bool holds(const std::function<double(double)>& u, double w, double v) const {
    const auto squares = [&](double b) { return fit_.best_where(b, u(b), w, v).squares; };
    return squares(best_exponent(squares)) <= accepted_;
  }

  const PowerLawFit& fit_;
  double accepted_;
};

struct Fitted {
  ScalingLaw law;
  double squares = 0;
};

Fitted fitted_law(const PowerLawFit& fit) {
  const double b = best_exponent([&](double exponent) { return fit.best(exponent).squares; });
  const PowerLawFit::Coefficients best = fit.best(b);
  return {{fit.law_a(best.a, b), b, best.c}, best.squares};
}

int64_t degrees_of_freedom(const std::vector<ScalingPoint>& points) {
  return static_cast<int64_t>(points.size()) - kCoefficients;
}

}  // namespace

double ScalingLaw::operator()(double size) const { return a * std::pow(size, b) + c; }

ScalingFit fit_scaling_law(const std::vector<ScalingPoint>& points, double noise) {
  check_points(points);
  const PowerLawFit fit(points);
  const Fitted fitted = fitted_law(fit);
  ScalingFit result;
  result.law = fitted.law;
  result.rms_relative_residual = std::sqrt(fitted.squares / static_cast<double>(points.size()));
  result.degrees_of_freedom = degrees_of_freedom(points);
  result.interval_method = method_sentence(result.degrees_of_freedom, noise);
  const auto accepted = accepted_squares(fitted.squares, result.degrees_of_freedom, noise);
  if (!accepted) return result;
  const Profile profile(fit, *accepted);
  if (result.law.a > 0) result.a = profile.factor(result.law.a);
  result.b = profile.exponent(result.law.b);
  result.c = profile.offset(result.law.c);
  return result;
}

std::optional<Interval> predicted_loss(const std::vector<ScalingPoint>& points, double noise,
                                       double size) {
  check_points(points);
  const PowerLawFit fit(points);
  const Fitted fitted = fitted_law(fit);
  const auto accepted = accepted_squares(fitted.squares, degrees_of_freedom(points), noise);
  if (!accepted) return std::nullopt;
  return Profile(fit, *accepted).loss_at(size, fitted.law(size));
}

}  // namespace tercet::learn
