// SPDX-License-Identifier: Apache-2.0
#include "learn/study/twin_charts.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace tercet::learn {
namespace {

using plot::Axis;
using plot::Chart;
using plot::Dash;
using plot::Point;
using plot::Series;

constexpr size_t kMostPoints = 400;  // of a curve: more than a picture can show

Axis tokens_axis() { return {.title = "tokens", .low = 0}; }

// Training losses as the mean of the last hundredth of them, thinned.
std::vector<Point> smoothed(std::vector<RunHistory::Loss> losses) {
  std::erase_if(losses, [](const RunHistory::Loss& loss) { return !std::isfinite(loss.loss); });
  const size_t width = std::max<size_t>(1, losses.size() / 100);
  const size_t stride = std::max<size_t>(1, losses.size() / kMostPoints);
  std::vector<Point> points;
  double sum = 0;
  for (size_t i = 0; i < losses.size(); ++i) {
    sum += losses[i].loss;
    if (i >= width) sum -= losses[i - width].loss;
    if (i % stride != 0 && i + 1 != losses.size()) continue;
    points.push_back({losses[i].tokens, sum / static_cast<double>(std::min(i + 1, width))});
  }
  return points;
}

std::vector<Point> points_of(const std::vector<RunHistory::Loss>& losses) {
  std::vector<Point> points;
  for (const RunHistory::Loss& loss : losses) points.push_back({loss.tokens, loss.loss});
  return points;
}

// The top of the loss axis: the first losses, near the logarithm of the vocabulary, and spikes
// would press all others together.
double highest_loss(const std::vector<MemberCurves>& members) {
  double highest = 0;
  for (const MemberCurves& member : members) {
    std::vector<double> later;
    for (const Point& point : smoothed(member.history.training)) {
      if (point.x >= 0.05 * static_cast<double>(member.run.tokens)) later.push_back(point.y);
    }
    std::sort(later.begin(), later.end());
    if (!later.empty()) highest = std::max(highest, later[later.size() * 97 / 100]);
    for (const RunHistory::Loss& loss : member.history.validation) {
      highest = std::max(highest, loss.loss);
    }
  }
  return highest;
}

NamedChart loss_chart(const std::vector<MemberCurves>& members) {
  Chart chart{.title = "Loss", .x = tokens_axis(), .y = {.title = "nats per token"}, .series = {}};
  const double highest = highest_loss(members);
  if (highest > 0) chart.y.high = highest;
  for (const MemberCurves& member : members) {
    const size_t colour = family_colour(member.run.family);
    chart.series.push_back({.name = "",
                            .points = smoothed(member.history.training),
                            .colour = colour,
                            .width = 1.5,
                            .opacity = 0.45});
    chart.series.push_back({.name = member.run.family,
                            .points = points_of(member.history.validation),
                            .colour = colour,
                            .width = 2.5,
                            .marks = member.history.validation.size() <= 40});
  }
  return {"loss",
          "Validation losses, and behind them training losses as a running mean. The scale leaves "
          "out the first steps.",
          chart};
}

std::vector<Point> flips_of(const RunHistory& history, const std::string& kind) {
  std::vector<Point> points;
  for (const WeightMoment& moment : history.codes) {
    if (!moment.flips_per_step) continue;
    const double share = kind.empty() ? *moment.flips_per_step : moment.flips_by_kind.at(kind);
    points.push_back({moment.tokens, 100 * share});
  }
  return points;
}

Chart empty_flips_chart(const std::string& title) {
  return {.title = title,
          .x = tokens_axis(),
          .y = {.title = "% of weights per step", .logarithmic = true},
          .series = {}};
}

NamedChart flips_chart(const std::vector<MemberCurves>& members) {
  Chart chart = empty_flips_chart("Weights that change their code");
  for (const MemberCurves& member : members) {
    if (member.history.codes.empty()) continue;
    chart.series.push_back({.name = member.run.family,
                            .points = flips_of(member.history, ""),
                            .colour = family_colour(member.run.family)});
  }
  return {"flips", "Codes that differ from those of the measurement before, per step between.",
          chart};
}

NamedChart kinds_chart(const MemberCurves& member) {
  Chart chart = empty_flips_chart("Flips of " + member.run.family + " by kind of matrix");
  size_t colour = 0;
  for (const auto& [kind, share] : member.history.codes.back().flips_by_kind) {
    chart.series.push_back(
        {.name = kind, .points = flips_of(member.history, kind), .colour = colour++});
  }
  return {"flips-" + member.run.family,
          "The same for each kind of linear map, all layers together.", chart};
}

NamedChart shares_chart(const std::vector<MemberCurves>& members) {
  Chart chart{
      .title = "Shares of codes", .x = tokens_axis(), .y = {.title = "% of weights"}, .series = {}};
  struct Code {
    const char* name;
    double WeightMoment::*share;
    Dash dash;
  };
  constexpr Code kCodes[] = {{" 0", &WeightMoment::zero, Dash::kSolid},
                             {" +1", &WeightMoment::plus, Dash::kDashed},
                             {" -1", &WeightMoment::minus, Dash::kDotted}};
  for (const MemberCurves& member : members) {
    const std::vector<WeightMoment>& moments = member.history.codes;
    for (const Code& code : kCodes) {
      const bool occurs = std::any_of(moments.begin(), moments.end(),
                                      [&](const WeightMoment& m) { return m.*code.share > 0; });
      if (!occurs) continue;
      Series series{.name = member.run.family + code.name,
                    .points = {},
                    .colour = family_colour(member.run.family),
                    .dash = code.dash};
      for (const WeightMoment& m : moments)
        series.points.push_back({m.tokens, 100 * (m.*code.share)});
      chart.series.push_back(std::move(series));
    }
  }
  return {"shares", "Of all weights of the linear maps.", chart};
}

// The outline of a histogram, as a density per unit.
std::vector<Point> outline(const LatentHistogram& histogram) {
  double all = 0;
  for (const double count : histogram.counts) all += count;
  const double width =
      (histogram.high - histogram.low) / static_cast<double>(histogram.counts.size() - 2);
  std::vector<Point> points;
  for (size_t i = 1; i + 1 < histogram.counts.size(); ++i) {
    const double left = histogram.low + width * static_cast<double>(i - 1);
    const double density = histogram.counts[i] / (all * width);
    points.push_back({left, density});
    points.push_back({left + width, density});
  }
  return points;
}

NamedChart latents_chart(const std::vector<MemberCurves>& members) {
  Chart chart{.title = "Latent weights at the end",
              .x = {.title = "weight / mean |weight| of its matrix"},
              .y = {.title = "density", .low = 0},
              .series = {}};
  for (const MemberCurves& member : members) {
    if (!member.history.latents) continue;
    chart.series.push_back({.name = member.run.family,
                            .points = outline(*member.history.latents),
                            .colour = family_colour(member.run.family)});
  }
  return {"latents",
          "Ternary weights turn at -0.5 and 0.5, binary ones at the mean of their matrix.", chart};
}

}  // namespace

size_t family_colour(const std::string& family) {
  static const std::map<std::string, size_t> colours = {{"llama", 0}, {"b1.58", 1}, {"b1", 2}};
  const auto found = colours.find(family);
  return found == colours.end() ? 3 : found->second;
}

std::vector<NamedChart> twin_charts(const std::vector<MemberCurves>& members) {
  std::vector<NamedChart> charts = {loss_chart(members), flips_chart(members),
                                    shares_chart(members), latents_chart(members)};
  for (const MemberCurves& member : members) {
    const auto& codes = member.history.codes;
    if (!codes.empty() && !codes.back().flips_by_kind.empty())
      charts.push_back(kinds_chart(member));
  }
  std::erase_if(charts, [](const NamedChart& named) { return named.chart.series.empty(); });
  return charts;
}

}  // namespace tercet::learn
