// SPDX-License-Identifier: Apache-2.0
#include "plot/ticks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace tercet::plot {
namespace {

// A step of 1, 2 or 5 times a power of ten that cuts `span` into about `count` parts.
double round_step(double span, int count) {
  const double rough = span / std::max(count, 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double digit = rough / power;
  return (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10) * power;
}

// Without the noise that adding steps leaves: 0.30000000000000004.
std::string plain_text(double value) { return fmt::format("{:.6g}", value); }

std::string metric_text(double value, const std::string& unit) {
  static constexpr std::array<const char*, 10> kPrefixes = {"p", "n", "µ", "m", "",
                                                            "k", "M", "G", "T", "P"};
  constexpr int kNone = 4;
  const double thousands =
      value == 0 ? 0 : std::floor(std::log10(std::fabs(value) * 1.0000001) / 3);
  const int power = std::clamp(static_cast<int>(thousands), -kNone, 5);
  return fmt::format("{} {}{}", plain_text(value / std::pow(1000.0, power)),
                     kPrefixes[static_cast<size_t>(power + kNone)], unit);
}

}  // namespace

std::string number_text(double value, const std::string& unit) {
  if (!unit.empty()) return metric_text(value, unit);
  static constexpr std::array<const char*, 5> kSuffixes = {"", "k", "M", "G", "T"};
  int power = 0;
  if (std::fabs(value) >= 1e4) {
    power = std::min(static_cast<int>(std::log10(std::fabs(value) * 1.0000001) / 3), 4);
  }
  return plain_text(value / std::pow(1000.0, power)) + kSuffixes[static_cast<size_t>(power)];
}

std::vector<Tick> linear_ticks(double low, double high, int count, const std::string& unit) {
  const double step = round_step(high - low, count);
  std::vector<Tick> ticks;
  const double slack = step * 1e-6;
  for (double index = std::ceil((low - slack) / step); index * step <= high + slack; ++index) {
    const double value = index == 0 ? 0 : index * step;  // never -0
    // Labels of one axis share a scale: 9500, 10000 and not 9500, 10k.
    const bool shown_whole = std::max(std::fabs(low), std::fabs(high)) < 2e4;
    ticks.push_back(
        {value, unit.empty() && shown_whole ? plain_text(value) : number_text(value, unit)});
  }
  return ticks;
}

std::vector<Tick> log_ticks(double low, double high, int count, const std::string& unit) {
  const double first = std::floor(std::log10(low));
  const double last = std::ceil(std::log10(high));
  const double decades = std::log10(high / low);
  if (decades < 0.7) return linear_ticks(low, high, count, unit);
  // With many decades only every second, third, ... has a label.
  const int stride = std::max(1, static_cast<int>(std::ceil(decades / std::max(count, 1))));
  std::vector<Tick> ticks;
  for (double power = first; power <= last; ++power) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double value = factor * std::pow(10.0, power);
      if (value < low * 0.999999 || value > high * 1.000001) continue;
      const bool labelled =
          factor == 1.0 ? static_cast<int>(power) % stride == 0 : 2 * decades <= std::max(count, 3);
      if (factor != 1.0 && decades > 6) continue;
      ticks.push_back({value, labelled ? number_text(value, unit) : ""});
    }
  }
  return ticks;
}

}  // namespace tercet::plot
