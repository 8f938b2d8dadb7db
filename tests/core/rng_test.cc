// SPDX-License-Identifier: Apache-2.0
#include "core/rng.h"

#include <gtest/gtest.h>

#include <vector>

namespace tercet {
namespace {

TEST(Rng, IsSeededBySplitMix64) {
  const Rng::State expected = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                               4593380528125082431u};
  EXPECT_EQ(Rng(1234567).state(), expected);
}

TEST(Rng, IsXoshiro256StarStar) {
  Rng rng(Rng::State{1, 2, 3, 4});
  for (const uint64_t expected :
       {uint64_t{11520}, uint64_t{0}, uint64_t{1509978240}, uint64_t{1215971899390074240},
        uint64_t{1216172134540287360}, uint64_t{607988272756665600},
        uint64_t{16172922978634559625u}, uint64_t{8476171486693032832},
        uint64_t{10595114339597558777u}, uint64_t{2904607092377533576}}) {
    EXPECT_EQ(rng.next(), expected);
  }
}

TEST(Rng, ASavedStateContinuesTheSameNumbers) {
  Rng rng(5);
  for (int i = 0; i < 1000; ++i) rng.next();
  Rng resumed(rng.state());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(resumed.next(), rng.next());
}

TEST(Rng, UniformStaysBelowOneAndFillsTheRange) {
  Rng rng(1);
  double sum = 0;
  double least = 1;
  double most = 0;
  for (int i = 0; i < 100000; ++i) {
    const double value = rng.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
    least = value < least ? value : least;
    most = value > most ? value : most;
  }
  EXPECT_NEAR(sum / 100000, 0.5, 0.01);
  EXPECT_LT(least, 0.001);
  EXPECT_GT(most, 0.999);
}

TEST(Rng, BelowIsEvenOverItsRange) {
  Rng rng(2);
  std::vector<int> counts(7, 0);
  for (int i = 0; i < 70000; ++i) ++counts[rng.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.below(1), 0u);
  for (int i = 0; i < 100; ++i)
    EXPECT_LT(rng.below((uint64_t{1} << 63) + 1), (uint64_t{1} << 63) + 1);
}

}  // namespace
}  // namespace tercet
