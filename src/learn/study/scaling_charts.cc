// SPDX-License-Identifier: Apache-2.0
#include "learn/study/scaling_charts.h"

#include <algorithm>
#include <cmath>

namespace tercet::learn {
namespace {

// Points of one number of a member over another, family by family; members without one are left
// out.
template <typename X, typename Y>
std::vector<plot::Series> series_of(const Json& scaling, const X& x, const Y& y) {
  std::vector<plot::Series> all;
  for (const Json& size : scaling.at("sizes")) {
    for (const Json& member : size.at("members")) {
      const std::optional<double> value = y(member);
      if (!value) continue;
      const std::string family = member.at("family").get<std::string>();
      auto found = std::find_if(all.begin(), all.end(),
                                [&](const plot::Series& s) { return s.name == family; });
      if (found == all.end()) {
        found = all.insert(
            found, {.name = family, .points = {}, .colour = family_colour(family), .marks = true});
      }
      found->points.push_back({x(member), *value});
    }
  }
  return all;
}

double parameters_of(const Json& member) { return member.at("parameters").get<double>(); }

std::optional<double> loss_of(const Json& member) {
  return member.at("validation_loss").get<double>();
}

std::optional<double> gap_of(const Json& member) {
  if (!member.contains("perplexity_gap_percent")) return std::nullopt;
  return member.at("perplexity_gap_percent").get<double>();
}

// A family's curve from its smallest size to four times its largest, with the band of its interval.
void add_law(plot::Chart& chart, const FamilyLaw& law, double noise) {
  constexpr int kSteps = 32;
  const auto [low, high] = std::minmax_element(
      law.points.begin(), law.points.end(),
      [](const ScalingPoint& a, const ScalingPoint& b) { return a.size < b.size; });
  plot::Series curve{.name = "",
                     .points = {},
                     .colour = family_colour(law.family),
                     .dash = plot::Dash::kDashed,
                     .width = 1.5};
  plot::Band band{.x = {}, .low = {}, .high = {}, .colour = curve.colour};
  const double ratio = 4 * high->size / low->size;
  for (int i = 0; i <= kSteps; ++i) {
    const double size = low->size * std::pow(ratio, static_cast<double>(i) / kSteps);
    curve.points.push_back({size, law.fit->law(size)});
    const std::optional<Interval> interval = predicted_loss(law.points, noise, size);
    if (!interval || !interval->low || !interval->high) continue;
    band.x.push_back(size);
    band.low.push_back(*interval->low);
    band.high.push_back(*interval->high);
  }
  chart.series.push_back(std::move(curve));
  chart.bands.push_back(std::move(band));
}

}  // namespace

std::vector<NamedChart> scaling_charts(const Json& scaling, const std::vector<FamilyLaw>& laws,
                                       double noise) {
  const auto by_size = [](const char* title, plot::Axis y) {
    return plot::Chart{
        .title = title, .x = {.title = "parameters", .logarithmic = true}, .y = y, .series = {}};
  };
  plot::Chart loss = by_size("Loss over size", {.title = "nats per token", .logarithmic = true});
  loss.series = series_of(scaling, parameters_of, loss_of);
  for (plot::Series& series : loss.series) series.line = false;
  for (const FamilyLaw& law : laws) {
    if (law.fit && law.measure == SizeMeasure::kParameters) add_law(loss, law, noise);
  }
  plot::Chart gap = by_size("Gap to full precision", {.title = "% of its perplexity"});
  gap.series = series_of(scaling, parameters_of, gap_of);
  plot::Chart energy{
      .title = "Loss over energy of inference",
      .x = {.title = "energy per token, 7 nm", .logarithmic = true, .unit = "J"},
      .y = {.title = "nats per token", .logarithmic = true},
      .series = series_of(
          scaling, [](const Json& m) { return energy_per_token(m, "7nm"); }, loss_of)};
  std::vector<NamedChart> charts = {
      {"scaling", "Validation losses, the laws a N^b + c and the bands of their intervals.", loss},
      {"gap", "How much higher the perplexity is than that of the full-precision twin.", gap},
      {"energy",
       "Additions and multiplications of matrix products alone, by the papers' operation model; "
       "full precision counted as FP16.",
       energy}};
  std::erase_if(charts, [](const NamedChart& named) { return named.chart.series.empty(); });
  return charts;
}

}  // namespace tercet::learn
