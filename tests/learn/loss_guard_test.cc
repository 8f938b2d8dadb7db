// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/loss_guard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/rng.h"

namespace tercet::learn {
namespace {

using Verdict = LossGuard::Verdict;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A run whose loss falls from 9 to 4 and scatters by 0.1; returns its last step.
int64_t train(LossGuard& guard, int64_t steps) {
  Rng rng(3);
  for (int64_t step = 1; step <= steps; ++step) {
    const double loss = 4 + 5 * std::exp(-static_cast<double>(step) / 40) + 0.2 * rng.uniform();
    EXPECT_EQ(guard.judge(step, loss, 1), Verdict::kUse) << step;
  }
  return steps;
}

TEST(LossGuard, LetsAFallingLossPass) {
  LossGuard guard(6);
  train(guard, 500);
  EXPECT_EQ(guard.state().skipped, 0);
  EXPECT_NEAR(guard.state().mean, 4.1, 0.05);
}

TEST(LossGuard, SkipsASpikeAndGoesOn) {
  LossGuard guard(6);
  const int64_t last = train(guard, 300);
  EXPECT_EQ(guard.judge(last + 1, 5.5, 1), Verdict::kSkip);
  EXPECT_EQ(guard.judge(last + 2, kNan, 1), Verdict::kSkip);
  EXPECT_EQ(guard.judge(last + 3, 4.1, std::numeric_limits<double>::infinity()), Verdict::kSkip);
  EXPECT_EQ(guard.judge(last + 4, 4.1, 1), Verdict::kUse);
  EXPECT_EQ(guard.state().skipped, 3);
  EXPECT_EQ(guard.state().bad_in_row, 0);
  EXPECT_EQ(guard.state().last_good, last + 4);
}

TEST(LossGuard, WithoutDeviationsOnlyWhatIsNotFiniteIsBad) {
  LossGuard guard(0);
  const int64_t last = train(guard, 300);
  EXPECT_EQ(guard.judge(last + 1, 50, 1), Verdict::kUse);
  EXPECT_EQ(guard.judge(last + 2, kNan, 1), Verdict::kSkip);
}

TEST(LossGuard, GivesUpOnBrokenWeights) {
  LossGuard guard(6);
  const int64_t last = train(guard, 100);
  for (int64_t i = 1; i < LossGuard::kMostInRow; ++i) {
    EXPECT_EQ(guard.judge(last + i, kNan, kNan), Verdict::kSkip);
  }
  EXPECT_EQ(guard.judge(last + LossGuard::kMostInRow, kNan, kNan), Verdict::kGiveUp);
  EXPECT_EQ(guard.state().last_good, last);
}

TEST(LossGuard, SpikesBeforeThemDoNotMakeOneBrokenLossTheEnd) {
  LossGuard guard(6);
  int64_t step = train(guard, 100);
  for (int64_t i = 1; i < LossGuard::kMostInRow; ++i) {
    EXPECT_EQ(guard.judge(++step, 9, 1), Verdict::kSkip);
  }
  for (int64_t i = 1; i < LossGuard::kMostInRow; ++i) {
    EXPECT_EQ(guard.judge(++step, kNan, 1), Verdict::kSkip);
  }
  EXPECT_EQ(guard.judge(++step, kNan, 1), Verdict::kGiveUp);
}

TEST(LossGuard, AHigherLevelThatStaysIsTakenForTheNewOne) {
  LossGuard guard(6);
  const int64_t last = train(guard, 300);
  for (int64_t i = 1; i < LossGuard::kMostInRow; ++i) {
    EXPECT_EQ(guard.judge(last + i, 6, 1), Verdict::kSkip);
  }
  for (int64_t i = LossGuard::kMostInRow; i < 60; ++i) {
    EXPECT_EQ(guard.judge(last + i, 6 + 0.01 * static_cast<double>(i % 5), 1), Verdict::kUse);
  }
  EXPECT_NEAR(guard.state().mean, 6, 0.1);
}

TEST(LossGuard, ForgetsWhatWasBeforeAChange) {
  LossGuard guard(6);
  int64_t step = train(guard, 300);
  guard.forget();
  for (int64_t i = 0; i < LossGuard::kFirst; ++i) {
    EXPECT_EQ(guard.judge(++step, 7.0 - 0.01 * static_cast<double>(i), 1), Verdict::kUse);
  }
  EXPECT_EQ(guard.judge(++step, 9, 1), Verdict::kSkip);
  EXPECT_EQ(guard.state().skipped, 1);
}

TEST(LossGuard, ContinuesFromItsState) {
  LossGuard whole(6);
  const int64_t last = train(whole, 120);
  LossGuard resumed(6);
  resumed.restore(whole.state());
  for (const double loss : {4.2, 9.0, 4.3}) {
    EXPECT_EQ(whole.judge(last + 1, loss, 1), resumed.judge(last + 1, loss, 1));
    EXPECT_EQ(whole.state().mean, resumed.state().mean);
  }
}

}  // namespace
}  // namespace tercet::learn
