// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace tercet::plot {

struct Tick {
  double value = 0;
  std::string label;  // empty: a grid line only
};

// Round numbers (1, 2 or 5 times a power of ten) inside [low, high], about `count` of them.
// `unit` as for number_text(). low < high, both finite.
std::vector<Tick> linear_ticks(double low, double high, int count, const std::string& unit);

// The same for a logarithmic axis: powers of ten, with 2 and 5 between them where there are few,
// and linear_ticks() where even those are. 0 < low < high.
std::vector<Tick> log_ticks(double low, double high, int count, const std::string& unit);

// A number as axes and tables show it: "0.05", "2.5", "20k", "3M", "1e-06"; with a unit the
// prefixes of the metric system: "4.2 µJ".
std::string number_text(double value, const std::string& unit);

}  // namespace tercet::plot
