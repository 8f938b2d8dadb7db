// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace tercet::plot {

struct Point {
  double x = 0;
  double y = 0;
};

enum class Dash { kSolid, kDashed, kDotted };

// A curve. Points that its axes cannot show (not finite, not above 0 on a logarithmic axis) break
// the line and are left out.
struct Series {
  std::string name;  // in the legend; empty: not there
  std::vector<Point> points;
  size_t colour = 0;  // of the palette, which repeats; 0 is nearly black
  Dash dash = Dash::kSolid;
  double width = 2;    // pixels
  double opacity = 1;  // of the line
  bool line = true;
  bool marks = false;  // a dot at each point
};

// The area between two curves over the same x.
struct Band {
  std::vector<double> x;
  std::vector<double> low;
  std::vector<double> high;
  size_t colour = 0;
};

struct Axis {
  std::string title;
  bool logarithmic = false;
  std::string unit = {};  // "J": labels get metric prefixes
  // Ends of the axis; left to the points otherwise. What lies outside is cut off.
  std::optional<double> low = {};
  std::optional<double> high = {};
};

struct Chart {
  std::string title;
  Axis x;
  Axis y;
  std::vector<Series> series;
  std::vector<Band> bands = {};  // below the curves
};

// A stand-alone SVG document (no scripts, fonts or files of its own), which may also stand inside
// an HTML page. A chart without a point to show says so.
std::string to_svg(const Chart& chart);

}  // namespace tercet::plot
