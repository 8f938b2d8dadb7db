// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <regex>
#include <string>
#include <vector>

#include "plot/chart.h"

namespace tercet::plot {
namespace {

// Every element closed, in order; attributes quoted; no number that is not one.
void expect_well_formed(const std::string& svg) {
  const std::regex element("<(/?)([a-z]+)((?: [A-Za-z0-9:-]+=\"[^\"<]*\")*)(/?)>");
  std::vector<std::string> open;
  size_t after = 0;
  for (std::sregex_iterator at(svg.begin(), svg.end(), element), end; at != end; ++at) {
    const std::string between = svg.substr(after, static_cast<size_t>(at->position()) - after);
    EXPECT_EQ(between.find_first_of("<>"), std::string::npos) << between;
    after = static_cast<size_t>(at->position() + at->length());
    if (at->str(1) == "/") {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), at->str(2));
      open.pop_back();
    } else if (at->str(4).empty()) {
      open.push_back(at->str(2));
    }
  }
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(after, svg.find_last_of('>') + 1);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// The points of the chart's n-th polyline.
std::vector<Point> polyline(const std::string& svg, size_t n) {
  size_t at = svg.find("<polyline points=\"");
  for (; n > 0; --n) at = svg.find("<polyline points=\"", at + 1);
  at += std::string("<polyline points=\"").size();
  std::vector<Point> points;
  const std::string list = svg.substr(at, svg.find('"', at) - at);
  const std::regex pair("([-0-9.]+),([-0-9.]+)");
  for (std::sregex_iterator it(list.begin(), list.end(), pair), end; it != end; ++it) {
    points.push_back({std::stod(it->str(1)), std::stod(it->str(2))});
  }
  return points;
}

Series line(const std::string& name, std::vector<Point> points) {
  Series series;
  series.name = name;
  series.points = std::move(points);
  return series;
}

TEST(Svg, PointsStandWhereTheirValuesSay) {
  const Chart chart{.title = "t",
                    .x = {.title = "x", .low = 0, .high = 10},
                    .y = {.title = "y", .low = 0, .high = 2},
                    .series = {line("a", {{0, 0}, {5, 1}, {10, 2}})}};
  const std::string svg = to_svg(chart);
  expect_well_formed(svg);
  const std::vector<Point> points = polyline(svg, 0);
  ASSERT_EQ(points.size(), 3u);
  EXPECT_NEAR(points[1].x, (points[0].x + points[2].x) / 2, 0.11);
  EXPECT_NEAR(points[1].y, (points[0].y + points[2].y) / 2, 0.11);
  EXPECT_LT(points[2].y, points[0].y);  // up is less
}

TEST(Svg, LogarithmicAxesSpreadRatiosEvenly) {
  const Chart chart{.title = "t",
                    .x = {.title = "x", .logarithmic = true},
                    .y = {.title = "y", .logarithmic = true, .unit = "J"},
                    .series = {line("a", {{1e6, 1e-6}, {1e7, 1e-5}, {1e8, 1e-4}})}};
  const std::string svg = to_svg(chart);
  expect_well_formed(svg);
  const std::vector<Point> points = polyline(svg, 0);
  EXPECT_NEAR(points[1].x, (points[0].x + points[2].x) / 2, 0.11);
  EXPECT_NEAR(points[1].y, (points[0].y + points[2].y) / 2, 0.11);
  EXPECT_EQ(count(svg, ">10 µJ<"), 1u);
  EXPECT_EQ(count(svg, ">10M<"), 1u);
}

TEST(Svg, WhatAnAxisCannotShowBreaksTheLine) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Series series = line("a", {{1, 1}, {2, 3}, {3, nan}, {4, 2}, {5, 0}, {6, 1}, {7, 2}});
  series.marks = true;
  const Chart chart{.title = "t",
                    .x = {.title = "x"},
                    .y = {.title = "y", .logarithmic = true},
                    .series = {series}};
  const std::string svg = to_svg(chart);
  expect_well_formed(svg);
  EXPECT_EQ(count(svg, "<polyline"), 4u);  // three parts and the legend's
  EXPECT_EQ(count(svg, "<circle"), 6u);
}

TEST(Svg, NamesAreEscapedAndLegendsWrap) {
  Chart chart{.title = "a < b", .x = {.title = "x & y"}, .y = {.title = "\"q\""}, .series = {}};
  for (int i = 0; i < 9; ++i) {
    chart.series.push_back(line("b1.58 <training> " + std::to_string(i), {{0, 1}, {1, 2}}));
  }
  const std::string svg = to_svg(chart);
  expect_well_formed(svg);
  EXPECT_EQ(count(svg, "b1.58 &lt;training&gt;"), 9u);
  // No entry leaves the picture.
  const std::regex entry("x=\"([0-9.]+)\"[^>]*text-anchor=\"start\"");
  for (std::sregex_iterator at(svg.begin(), svg.end(), entry), end; at != end; ++at) {
    EXPECT_LT(std::stod(at->str(1)) + 8 * 18, 720);
  }
}

TEST(Svg, NothingOneValueAndBandsAreDrawn) {
  const Axis axis{.title = "x"};
  const std::string empty = to_svg({.title = "", .x = axis, .y = axis, .series = {}});
  expect_well_formed(empty);
  EXPECT_EQ(count(empty, "nothing to show"), 1u);
  expect_well_formed(to_svg({.title = "", .x = axis, .y = axis, .series = {line("a", {{0, 0}})}}));
  const Band band{.x = {1, 2}, .low = {1, 1}, .high = {2, 3}, .colour = 9};
  const std::string banded =
      to_svg({.title = "", .x = axis, .y = axis, .series = {}, .bands = {band}});
  expect_well_formed(banded);
  EXPECT_EQ(count(banded, "<polygon"), 1u);
}

}  // namespace
}  // namespace tercet::plot
