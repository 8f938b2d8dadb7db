// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>

#include "plot/chart.h"
#include "plot/page.h"
#include "plot/ticks.h"

namespace tercet::plot {
namespace {

// Pixels. Letters are large for the width, so that they can be read where a picture is shown small.
constexpr double kWidth = 720;
constexpr double kHeight = 460;
constexpr double kLeft = 84;
constexpr double kRight = 34;
constexpr double kBottom = 64;
constexpr double kTitleHeight = 40;
constexpr double kLegendRow = 26;
constexpr double kLegendSwatch = 30;
constexpr double kLetterWidth = 8.4;  // a cautious mean at 15 pixels

// Told apart by people who do not see all colours (Okabe and Ito 2008).
constexpr std::array<const char*, 7> kPalette = {"#222222", "#0072b2", "#d55e00", "#009e73",
                                                 "#cc79a7", "#e69f00", "#56b4e9"};

const char* colour(size_t index) { return kPalette[index % kPalette.size()]; }

const char* dash_pattern(Dash dash) {
  switch (dash) {
    case Dash::kDashed:
      return " stroke-dasharray=\"8 5\"";
    case Dash::kDotted:
      return " stroke-dasharray=\"2 4\"";
    case Dash::kSolid:
      break;
  }
  return "";
}

// Maps values of an axis to pixels, `from` at its low end and `to` at its high one.
class Scale {
 public:
  Scale(const Axis& axis, double low, double high, double from, double to)
      : logarithmic_(axis.logarithmic), from_(from), to_(to) {
    low_ = axis.low.value_or(low);
    high_ = axis.high.value_or(high);
    if (logarithmic_) low_ = std::max(low_, std::numeric_limits<double>::min());
    if (!(high_ > low_)) widen();
    if (!axis.low) low_ = logarithmic_ ? low_ / margin() : low_ - 0.04 * (high_ - low_);
    if (!axis.high) high_ = logarithmic_ ? high_ * margin() : high_ + 0.04 * (high_ - low_);
  }

  bool shows(double value) const { return std::isfinite(value) && (!logarithmic_ || value > 0); }

  double operator()(double value) const {
    const double share = logarithmic_ ? std::log(value / low_) / std::log(high_ / low_)
                                      : (value - low_) / (high_ - low_);
    // Far outside is as good as a little outside, and keeps numbers short.
    return from_ + std::clamp(share, -2.0, 3.0) * (to_ - from_);
  }

  std::vector<Tick> ticks(int count, const std::string& unit) const {
    return logarithmic_ ? log_ticks(low_, high_, count, unit)
                        : linear_ticks(low_, high_, count, unit);
  }

 private:
  double margin() const { return std::pow(high_ / low_, 0.05); }

  // One value, or none: an axis around it.
  void widen() {
    const double middle = std::isfinite(low_) ? low_ : 1;
    const double half = middle == 0 ? 1 : std::fabs(middle) / 2;
    low_ = middle - half;
    high_ = middle + half;
  }

  bool logarithmic_;
  double from_;
  double to_;
  double low_;
  double high_;
};

// The smallest and largest value that an axis has to show.
class Extent {
 public:
  explicit Extent(bool logarithmic) : logarithmic_(logarithmic) {}
  void add(double value) {
    if (!std::isfinite(value) || (logarithmic_ && value <= 0)) return;
    low_ = std::min(low_, value);
    high_ = std::max(high_, value);
  }
  bool empty() const { return low_ > high_; }
  double low() const { return empty() ? (logarithmic_ ? 1 : 0) : low_; }
  double high() const { return empty() ? (logarithmic_ ? 10 : 1) : high_; }

 private:
  bool logarithmic_;
  double low_ = std::numeric_limits<double>::infinity();
  double high_ = -std::numeric_limits<double>::infinity();
};

double legend_entry_width(const Series& series) {
  return kLegendSwatch + 8 + kLetterWidth * static_cast<double>(series.name.size()) + 22;
}

// Where each named curve's entry stands, row by row.
struct Legend {
  std::vector<Point> places;  // of the entries, in the order of the named series
  double height = 0;
};

Legend lay_out_legend(const Chart& chart) {
  Legend legend;
  double x = kLeft;
  double row = 0;
  for (const Series& series : chart.series) {
    if (series.name.empty()) continue;
    const double width = legend_entry_width(series);
    if (x > kLeft && x + width > kWidth - kRight) {
      x = kLeft;
      ++row;
    }
    legend.places.push_back({x, kTitleHeight + kLegendRow * (row + 0.5)});
    x += width;
  }
  if (!legend.places.empty()) legend.height = kLegendRow * (row + 1) + 4;
  return legend;
}

class SvgWriter {
 public:
  explicit SvgWriter(const Chart& chart)
      : chart_(chart),
        legend_(lay_out_legend(chart)),
        top_(kTitleHeight + legend_.height + 6),
        extents_{Extent(chart.x.logarithmic), Extent(chart.y.logarithmic)} {
    measure();
  }

  std::string write() {
    const Scale x(chart_.x, extents_[0].low(), extents_[0].high(), kLeft, kWidth - kRight);
    const Scale y(chart_.y, extents_[1].low(), extents_[1].high(), kHeight - kBottom, top_);
    open();
    draw_axes(x, y);
    // A nested <svg> cuts off what lies outside the axes.
    add("<svg x=\"{0:.1f}\" y=\"{1:.1f}\" width=\"{2:.1f}\" height=\"{3:.1f}\" "
        "viewBox=\"{0:.1f} {1:.1f} {2:.1f} {3:.1f}\">\n",
        kLeft, top_, kWidth - kRight - kLeft, kHeight - kBottom - top_);
    for (const Band& band : chart_.bands) draw_band(band, x, y);
    for (const Series& series : chart_.series) draw_series(series, x, y);
    svg_ += "</svg>\n";
    draw_legend();
    if (extents_[0].empty() || extents_[1].empty()) {
      text(kWidth / 2, (top_ + kHeight - kBottom) / 2, "nothing to show yet", 16, "middle");
    }
    return svg_ + "</svg>\n";
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(svg_), format, std::forward<Args>(args)...);
  }

  void text(double x, double y, const std::string& words, int size, const char* anchor,
            const char* more = "") {
    add("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" text-anchor=\"{}\"{}>{}</text>\n", x, y,
        size, anchor, more, escape_markup(words));
  }

  // What axes with ends of their own cut off sideways does not stretch the other axis.
  void measure() {
    const auto inside = [&](double x) {
      return x >= chart_.x.low.value_or(x) && x <= chart_.x.high.value_or(x);
    };
    const auto add_point = [&](double x, double y) {
      if (!inside(x)) return;
      extents_[0].add(x);
      extents_[1].add(y);
    };
    for (const Series& series : chart_.series) {
      for (const Point& point : series.points) add_point(point.x, point.y);
    }
    for (const Band& band : chart_.bands) {
      for (size_t i = 0; i < band.x.size(); ++i) {
        add_point(band.x[i], band.low[i]);
        add_point(band.x[i], band.high[i]);
      }
    }
  }

  void open() {
    add("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
        "viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" fill=\"#222\" role=\"img\">\n"
        "<title>{2}</title>\n<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
        kWidth, kHeight, escape_markup(chart_.title));
    text(kWidth / 2, 27, chart_.title, 18, "middle", " font-weight=\"bold\"");
  }

  void draw_axes(const Scale& x, const Scale& y) {
    const double bottom = kHeight - kBottom;
    const double right = kWidth - kRight;
    const char* line =
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n";
    for (const Tick& tick : x.ticks(6, chart_.x.unit)) {
      const double at = x(tick.value);
      svg_ += fmt::format(fmt::runtime(line), at, top_, at, bottom, "#e4e4e4");
      text(at, bottom + 21, tick.label, 15, "middle");
    }
    for (const Tick& tick : y.ticks(6, chart_.y.unit)) {
      const double at = y(tick.value);
      svg_ += fmt::format(fmt::runtime(line), kLeft, at, right, at, "#e4e4e4");
      text(kLeft - 8, at + 5, tick.label, 15, "end");
    }
    add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"none\" "
        "stroke=\"#777\"/>\n",
        kLeft, top_, right - kLeft, bottom - top_);
    text((kLeft + right) / 2, kHeight - 14, chart_.x.title, 16, "middle");
    const double middle = (top_ + bottom) / 2;
    text(20, middle, chart_.y.title, 16, "middle",
         fmt::format(" transform=\"rotate(-90 20 {:.1f})\"", middle).c_str());
  }

  void draw_band(const Band& band, const Scale& x, const Scale& y) {
    std::string upper;
    std::string lower;
    for (size_t i = 0; i < band.x.size(); ++i) {
      if (!x.shows(band.x[i]) || !y.shows(band.low[i]) || !y.shows(band.high[i])) continue;
      upper += fmt::format("{:.1f},{:.1f} ", x(band.x[i]), y(band.high[i]));
      lower = fmt::format("{:.1f},{:.1f} ", x(band.x[i]), y(band.low[i])) + lower;
    }
    if (upper.empty()) return;
    add("<polygon points=\"{}{}\" fill=\"{}\" fill-opacity=\"0.15\"/>\n", upper, lower,
        colour(band.colour));
  }

  void draw_line(const Series& series, const std::string& points) {
    if (points.empty()) return;
    add("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{:g}\" "
        "stroke-opacity=\"{:g}\" stroke-linejoin=\"round\"{}/>\n",
        points, colour(series.colour), series.width, series.opacity, dash_pattern(series.dash));
  }

  void draw_series(const Series& series, const Scale& x, const Scale& y) {
    std::string points;
    std::string marks;
    for (const Point& point : series.points) {
      if (!x.shows(point.x) || !y.shows(point.y)) {
        if (series.line) draw_line(series, points);
        points.clear();
        continue;
      }
      points += fmt::format("{:.1f},{:.1f} ", x(point.x), y(point.y));
      marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\" fill=\"{}\"/>\n",
                           x(point.x), y(point.y), colour(series.colour));
    }
    if (series.line) draw_line(series, points);
    if (series.marks) svg_ += marks;
  }

  void draw_legend() {
    size_t entry = 0;
    for (const Series& series : chart_.series) {
      if (series.name.empty()) continue;
      const Point at = legend_.places[entry++];
      if (series.line) {
        draw_line(series, fmt::format("{:.1f},{:.1f} {:.1f},{:.1f}", at.x, at.y,
                                      at.x + kLegendSwatch, at.y));
      }
      if (series.marks) {
        add("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\" fill=\"{}\"/>\n",
            at.x + kLegendSwatch / 2, at.y, colour(series.colour));
      }
      text(at.x + kLegendSwatch + 8, at.y + 5, series.name, 15, "start");
    }
  }

  const Chart& chart_;
  Legend legend_;
  double top_;
  std::array<Extent, 2> extents_;
  std::string svg_;
};

}  // namespace

std::string to_svg(const Chart& chart) { return SvgWriter(chart).write(); }

}  // namespace tercet::plot
