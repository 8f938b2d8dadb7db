// SPDX-License-Identifier: Apache-2.0
#include "plot/ticks.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tercet::plot {
namespace {

std::vector<std::string> labels(const std::vector<Tick>& ticks) {
  std::vector<std::string> out;
  for (const Tick& tick : ticks) {
    if (!tick.label.empty()) out.push_back(tick.label);
  }
  return out;
}

using Labels = std::vector<std::string>;

TEST(Ticks, LinearOnesAreRound) {
  EXPECT_EQ(labels(linear_ticks(0, 1, 5, "")), (Labels{"0", "0.2", "0.4", "0.6", "0.8", "1"}));
  EXPECT_EQ(labels(linear_ticks(3.31, 3.92, 6, "")),
            (Labels{"3.4", "3.5", "3.6", "3.7", "3.8", "3.9"}));
  EXPECT_EQ(labels(linear_ticks(-1, 1, 4, "")), (Labels{"-1", "-0.5", "0", "0.5", "1"}));
  EXPECT_EQ(labels(linear_ticks(0, 14.7e6, 3, "")), (Labels{"0", "5M", "10M"}));
  EXPECT_EQ(labels(linear_ticks(0, 16000, 4, "")), (Labels{"0", "5000", "10000", "15000"}));
}

TEST(Ticks, LogarithmicOnesFollowTheSpan) {
  EXPECT_EQ(labels(log_ticks(0.8, 12000, 6, "")), (Labels{"1", "10", "100", "1000", "10k"}));
  EXPECT_EQ(labels(log_ticks(0.03, 4, 6, "")), (Labels{"0.05", "0.1", "0.2", "0.5", "1", "2"}));
  EXPECT_EQ(labels(log_ticks(9e5, 1.1e7, 6, "")), (Labels{"1M", "2M", "5M", "10M"}));
  // Half a decade: round steps.
  EXPECT_EQ(labels(log_ticks(2.9, 4.1, 6, "")), (Labels{"3", "3.2", "3.4", "3.6", "3.8", "4"}));
  // Many decades: no more labels than there is room for.
  EXPECT_LE(labels(log_ticks(1e-12, 1e12, 6, "")).size(), 8u);
}

TEST(Ticks, NumbersAreShort) {
  EXPECT_EQ(number_text(0.1 + 0.2, ""), "0.3");
  EXPECT_EQ(number_text(999999.9999999999, ""), "1M");
  EXPECT_EQ(number_text(4200704, ""), "4.2007M");
  EXPECT_EQ(number_text(4.2e-6, "J"), "4.2 µJ");
  EXPECT_EQ(number_text(1e-3, "J"), "1 mJ");
  EXPECT_EQ(number_text(0, "J"), "0 J");
  EXPECT_EQ(number_text(35, "J"), "35 J");
}

}  // namespace
}  // namespace tercet::plot
