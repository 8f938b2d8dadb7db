// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/shard_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace tercet::learn {
namespace {

TEST(ShardPlan, CoversEveryElementOnce) {
  const std::vector<std::vector<int64_t>> models = {
      {1}, {5, 1, 17}, {1000, 3, 64, 999}, {40960, 64, 4096, 64, 11008, 64}};
  for (const std::vector<int64_t>& sizes : models) {
    for (const int64_t ranks : {1, 2, 3, 7}) {
      for (const int64_t largest : {16, 100, 4096, 1 << 20}) {
        std::vector<std::vector<int>> seen;
        for (const int64_t size : sizes) seen.emplace_back(static_cast<size_t>(size));
        for (const Bucket& bucket : plan_shards(sizes, ranks, largest)) {
          int64_t elements = 0;
          for (const Piece& piece : bucket.pieces) {
            EXPECT_LT(piece.begin, piece.end);
            elements += piece.size();
            for (int64_t i = piece.begin; i < piece.end; ++i) ++seen[piece.parameter][i];
          }
          EXPECT_EQ(elements, bucket.elements);
          EXPECT_LE(elements, (largest + 15) / 16 * 16);
          EXPECT_LT(bucket.owner, ranks);
        }
        for (const auto& one : seen) {
          EXPECT_TRUE(std::all_of(one.begin(), one.end(), [](int times) { return times == 1; }));
        }
      }
    }
  }
}

TEST(ShardPlan, SharesAreEqual) {
  // A large embedding and small layers: whole tensors could not be balanced.
  std::vector<int64_t> sizes{32000 * 768};
  for (int layer = 0; layer < 24; ++layer) sizes.insert(sizes.end(), {768, 768 * 768, 768 * 2048});
  const int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  for (const int64_t ranks : {2, 3, 4, 16}) {
    std::map<int64_t, int64_t> shares;
    for (const Bucket& bucket : plan_shards(sizes, ranks, 2 << 20)) {
      shares[bucket.owner] += bucket.elements;
    }
    ASSERT_EQ(shares.size(), static_cast<size_t>(ranks));
    for (const auto& [owner, share] : shares) {
      EXPECT_NEAR(static_cast<double>(share),
                  static_cast<double>(total) / static_cast<double>(ranks),
                  0.001 * static_cast<double>(total))
          << owner;
    }
  }
}

TEST(ShardPlan, BeginsWithWhatBackwardFinishesFirst) {
  const auto buckets = plan_shards({64, 64, 64, 64}, 2, 64);
  ASSERT_EQ(buckets.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(buckets[i].pieces.at(0).parameter, 3 - i);
    EXPECT_EQ(buckets[i].owner, static_cast<int64_t>(i % 2));
  }
}

}  // namespace
}  // namespace tercet::learn
