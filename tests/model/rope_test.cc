// SPDX-License-Identifier: Apache-2.0
#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tercet::test {
namespace {

TEST(RopeTest, TurnsEachPairByItsAngle) {
  const Rope rope(RopeOrder::kHalfSplit, plain_frequencies(4, 100.0));
  float cosines[2];
  float sines[2];
  rope.angles(3, cosines, sines);
  EXPECT_FLOAT_EQ(cosines[0], static_cast<float>(std::cos(3.0)));
  EXPECT_FLOAT_EQ(sines[1], static_cast<float>(std::sin(3.0 / 10.0)));

  float head[4] = {1, 2, 0, -1};
  rope.rotate(cosines, sines, select_kernels(""), head);
  EXPECT_FLOAT_EQ(head[0], static_cast<float>(std::cos(3.0)));
  EXPECT_FLOAT_EQ(head[2], static_cast<float>(std::sin(3.0)));
  EXPECT_FLOAT_EQ(head[1], static_cast<float>(2 * std::cos(0.3) + std::sin(0.3)));
  EXPECT_FLOAT_EQ(head[3], static_cast<float>(2 * std::sin(0.3) - std::cos(0.3)));
}

// Where llama.cpp's readers expect each row of q: the second half of a head between the first.
TEST(RopeTest, AdjacentOrderInterleavesTheHalvesOfEveryHead) {
  EXPECT_EQ(adjacent_permutation(2, 6, 6),
            (std::vector<int64_t>{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}));
}

TEST(RopeTest, PermutationsUndoEachOther) {
  const std::vector<int64_t> there = adjacent_permutation(3, 8, 8);
  const std::vector<int64_t> back = half_split_permutation(3, 8, 8);
  for (size_t i = 0; i < there.size(); ++i) {
    EXPECT_EQ(there[static_cast<size_t>(back[i])], static_cast<int64_t>(i));
  }
}

TEST(RopeTest, OrdersRotateAlike) {
  const Rope split(RopeOrder::kHalfSplit, plain_frequencies(8, 10000.0));
  const Rope adjacent(RopeOrder::kAdjacent, plain_frequencies(8, 10000.0));
  float cosines[4];
  float sines[4];
  split.angles(17, cosines, sines);
  float a[8];
  float b[8];
  const std::vector<int64_t> order = adjacent_permutation(1, 8, 8);
  for (size_t i = 0; i < 8; ++i) a[i] = static_cast<float>(i) - 2.5f;
  for (size_t i = 0; i < 8; ++i) b[i] = a[order[i]];
  split.rotate(cosines, sines, select_kernels(""), a);
  adjacent.rotate(cosines, sines, select_kernels(""), b);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(b[i], a[order[i]]) << i;
}

}  // namespace
}  // namespace tercet::test
