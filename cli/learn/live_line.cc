// SPDX-License-Identifier: Apache-2.0
#include "cli/learn/live_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "cli/common/numbers.h"

namespace tercet::cli {
namespace {

constexpr size_t kShortestCurve = 4;
constexpr size_t kLongestCurve = 32;
constexpr std::string_view kGap = "  ";

// In the order of the line; `rank` 0 goes last when room is short.
struct Field {
  std::string text;  // ASCII: a column each
  int rank = 0;
  bool shown = true;
};

constexpr size_t kCurveField = 1;
constexpr int kCurveRank = 3;

std::string short_rate(double per_second) {
  return per_second < 10000 ? fmt::format("{:.0f} tok/s", per_second)
                            : fmt::format("{:.1f}k tok/s", per_second / 1000);
}

// The text of the curve's field is a placeholder of its shortest form.
std::vector<Field> fields(const learn::StepReport& r, double gemm_gflops) {
  return {{fmt::format("{}/{}", r.step, r.steps), 0},
          {std::string(kShortestCurve, ' '), kCurveRank},
          {fmt::format("loss {:.4f}", r.loss), 1},
          {short_rate(r.tokens_per_second), 4},
          {fmt::format("MFU {:.0f}%", 100 * r.gflops / gemm_gflops), 5},
          {fmt::format("lr {:.2g}", r.learning_rate), 6},
          {fmt::format("ETA {}", format_seconds(r.eta_seconds)), 2}};
}

size_t width(const std::vector<Field>& all) {
  size_t sum = 0;
  for (const Field& field : all) sum += field.shown ? field.text.size() + kGap.size() : 0;
  return sum == 0 ? 0 : sum - kGap.size();
}

void leave_out(std::vector<Field>& all, size_t columns) {
  for (int rank = static_cast<int>(all.size()) - 1; rank > 0 && width(all) > columns; --rank) {
    for (Field& field : all) field.shown = field.shown && field.rank != rank;
  }
}

// Padded, so that what stands behind it does not move while it grows.
std::string curve(const Series& losses, size_t cells, const LiveStyle& style) {
  const std::vector<double> means = losses.means(cells);
  const std::string bars = sparkline(means, style.unicode);
  const std::string padding(cells - means.size(), ' ');
  return (style.colour ? "\x1b[36m" + bars + "\x1b[39m" : bars) + padding;
}

}  // namespace

std::string live_line(const learn::StepReport& report, const Series& losses, double gemm_gflops,
                      const LiveStyle& style) {
  std::vector<Field> all = fields(report, gemm_gflops);
  leave_out(all, style.columns);
  const size_t used = width(all);
  const size_t spare = style.columns > used ? style.columns - used : 0;
  std::string line;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!all[i].shown) continue;
    if (!line.empty()) line += kGap;
    line += i == kCurveField ? curve(losses, std::min(kLongestCurve, kShortestCurve + spare), style)
                             : all[i].text;
  }
  // Only when not even the steps have room; they are plain ASCII.
  return used > style.columns ? line.substr(0, style.columns) : line;
}

}  // namespace tercet::cli
