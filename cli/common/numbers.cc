// SPDX-License-Identifier: Apache-2.0
#include "cli/common/numbers.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace tercet::cli {
namespace {

// Three figures, as many as the unit leaves worth reading.
std::string three_figures(double value) {
  const int decimals = value < 10.0 ? 2 : value < 100.0 ? 1 : 0;
  return fmt::format("{:.{}f}", value, decimals);
}

std::string scaled(uint64_t value, double base, const std::array<const char*, 5>& units) {
  double number = static_cast<double>(value);
  size_t unit = 0;
  while (number >= base && unit + 1 < units.size()) {
    number /= base;
    ++unit;
  }
  if (unit == 0) return fmt::format("{}{}", value, units[0]);
  return three_figures(number) + units[unit];
}

}  // namespace

std::string format_bytes(uint64_t bytes) {
  return scaled(bytes, 1024.0, {" B", " KiB", " MiB", " GiB", " TiB"});
}

std::string format_count(uint64_t count) {
  return scaled(count, 1000.0, {"", " K", " M", " B", " T"});
}

std::string format_seconds(double seconds) {
  if (!(seconds >= 0.0) || seconds > 1e9) return "unknown";
  if (seconds < 1.0) return fmt::format("{:.0f} ms", seconds * 1000.0);
  if (seconds < 60.0) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  const int64_t hours = whole / 3600, minutes = whole / 60 % 60, rest = whole % 60;
  if (hours == 0) return fmt::format("{}:{:02}", minutes, rest);
  return fmt::format("{}:{:02}:{:02}", hours, minutes, rest);
}

}  // namespace tercet::cli
