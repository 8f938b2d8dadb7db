// SPDX-License-Identifier: Apache-2.0
#include "core/checked.h"

#include <gtest/gtest.h>

#include <limits>

namespace tercet {
namespace {

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();

TEST(Checked, AddsUpToTheLimit) {
  EXPECT_EQ(checked_add(2, 3), 5u);
  EXPECT_EQ(checked_add(kMost, 0), kMost);
  EXPECT_EQ(checked_add(kMost - 1, 1), kMost);
  EXPECT_FALSE(checked_add(kMost, 1));
  EXPECT_FALSE(checked_add(kMost, kMost));
}

TEST(Checked, MultipliesUpToTheLimit) {
  EXPECT_EQ(checked_mul(6, 7), 42u);
  EXPECT_EQ(checked_mul(kMost, 1), kMost);
  EXPECT_EQ(checked_mul(kMost, 0), 0u);
  EXPECT_EQ(checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1), kMost - 0xFFFFFFFFu);
  EXPECT_FALSE(checked_mul(uint64_t{1} << 32, uint64_t{1} << 32));
  EXPECT_FALSE(checked_mul(kMost, 2));
}

}  // namespace
}  // namespace tercet
