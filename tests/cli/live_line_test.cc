// SPDX-License-Identifier: Apache-2.0
#include "cli/learn/live_line.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <regex>

#include "cli/common/side_by_side.h"

namespace tercet::cli {
namespace {

TEST(Sparkline, HeightsFollowTheValues) {
  EXPECT_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, true), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline({7, 6, 5, 4, 3, 2, 1, 0}, false), "#*+=~-._");
  EXPECT_EQ(sparkline({-3, 1.1, -3}, true), "▁█▁");
  EXPECT_EQ(sparkline({4, 4}, true), "▁▁");
  EXPECT_EQ(sparkline({}, true), "");
}

TEST(Series, MeansOfEqualParts) {
  Series series;
  EXPECT_TRUE(series.means(5).empty());
  for (const double value : {1.0, 3.0, std::nan(""), 5.0, HUGE_VAL, 9.0}) series.add(value);
  EXPECT_EQ(series.means(2), (std::vector<double>{2, 7}));
  EXPECT_EQ(series.means(9), (std::vector<double>{1, 3, 5, 9}));
  EXPECT_TRUE(series.means(0).empty());
}

// However long it gets, a line stays a line, and its ends stay its ends.
TEST(Series, LongOnesKeepTheirShape) {
  Series series;
  constexpr int kLast = 100'000;
  for (int i = 0; i < kLast; ++i) series.add(i);
  const std::vector<double> means = series.means(10);
  ASSERT_EQ(means.size(), 10u);
  for (size_t i = 0; i < means.size(); ++i) {
    EXPECT_NEAR(means[i], (static_cast<double>(i) + 0.5) * kLast / 10, 0.005 * kLast) << i;
  }
  EXPECT_LE(series.means(100'000).size(), 512u);
}

learn::StepReport report() {
  learn::StepReport r;
  r.step = 1234;
  r.steps = 30000;
  r.loss = 2.34567;
  r.tokens_per_second = 12345;
  r.gflops = 57;
  r.learning_rate = 0.00123;
  r.eta_seconds = 3723;
  return r;
}

Series falling() {
  Series losses;
  for (int i = 0; i < 64; ++i) losses.add(64 - i);
  return losses;
}

std::string line(size_t columns, bool unicode = true, bool colour = false) {
  return live_line(report(), falling(), 100, {columns, unicode, colour});
}

TEST(LiveLine, ShowsWhatFits) {
  EXPECT_EQ(line(100),
            "1234/30000  ███▇▇▇▇▆▆▆▅▅▅▅▅▄▄▄▄▃▃▃▃▂▂▂▂▁▁  loss 2.3457  12.3k tok/s  MFU 57%  lr "
            "0.0012  ETA "
            "1:02:03");
  EXPECT_EQ(line(79),
            "1234/30000  █▇▆▅▄▃▂▁  loss 2.3457  12.3k tok/s  MFU 57%  lr 0.0012  ETA 1:02:03");
  EXPECT_EQ(line(50, false), "1234/30000  #**+==~~-.._  loss 2.3457  ETA 1:02:03");
  EXPECT_EQ(line(39), "1234/30000  loss 2.3457  ETA 1:02:03");
  EXPECT_EQ(line(30), "1234/30000  loss 2.3457");
  EXPECT_EQ(line(15), "1234/30000");
  EXPECT_EQ(line(6), "1234/3");
  EXPECT_EQ(line(0), "");
}

TEST(LiveLine, NeverWiderThanTheTerminal) {
  for (size_t columns = 0; columns < 200; ++columns) {
    for (const bool unicode : {true, false}) {
      const std::string text = line(columns, unicode);
      EXPECT_LE(display_width(text), columns);
      EXPECT_EQ(text.find('\x1b'), std::string::npos);
      // Colours take no room.
      EXPECT_EQ(std::regex_replace(line(columns, unicode, true), std::regex("\x1b\\[[0-9]*m"), ""),
                text);
    }
  }
}

// What stands behind the curve does not move while it grows.
TEST(LiveLine, TheCurveKeepsItsPlace) {
  Series losses;
  losses.add(3);
  const std::string first = live_line(report(), losses, 100, {100, true, false});
  EXPECT_EQ(display_width(first), display_width(line(100)));
  EXPECT_NE(first.find("▁   "), std::string::npos);
}

}  // namespace
}  // namespace tercet::cli
