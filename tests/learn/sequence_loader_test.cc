// SPDX-License-Identifier: Apache-2.0
#include "learn/data/sequence_loader.h"

#include <algorithm>
#include <map>
#include <set>

#include "formats/support.h"
#include "learn/data/permutation.h"
#include "learn/split_support.h"

namespace tercet {
namespace {

using testing::counting_split;
using testing::expect_error;
using testing::TemporaryDirectory;

TEST(Permutation, IsABijectionForEverySize) {
  for (const uint64_t count : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 255u, 1000u, 4097u}) {
    std::vector<bool> seen(count);
    const Permutation permutation(count, 9);
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t value = permutation(i);
      ASSERT_LT(value, count);
      ASSERT_FALSE(seen[value]);
      seen[value] = true;
    }
  }
}

TEST(Permutation, LooksRandom) {
  constexpr uint64_t kCount = 1000;
  int fixed = 0;
  int neighbours = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Permutation permutation(kCount, seed);
    for (uint64_t i = 0; i < kCount; ++i) {
      fixed += permutation(i) == i ? 1 : 0;
      neighbours += permutation(i) + 1 == permutation((i + 1) % kCount) ? 1 : 0;
    }
  }
  // Each is Poisson with mean 50 over all seeds.
  EXPECT_NEAR(fixed, 50, 35);
  EXPECT_NEAR(neighbours, 50, 35);
}

class Sequences : public ::testing::Test {
 protected:
  // A split whose token at place i is first + i.
  TokenDataset counting(uint64_t tokens, int32_t first = 0) const {
    return counting_split(directory_.file(fmt::format("{}", first)), tokens, first);
  }
  // The first token of each of the sequences [begin, end).
  static std::vector<int64_t> begins(const SequenceLoader& loader, uint64_t begin, uint64_t end) {
    std::vector<int64_t> row(static_cast<size_t>(loader.sequence_length()) + 1);
    std::vector<int64_t> out;
    for (uint64_t position = begin; position < end; ++position) {
      loader.load(position, row.data());
      for (size_t i = 0; i + 1 < row.size(); ++i) EXPECT_EQ(row[i] + 1, row[i + 1]);
      out.push_back(row[0]);
    }
    return out;
  }
  TemporaryDirectory directory_;
};

TEST_F(Sequences, AnEpochVisitsEveryWindowOnceInAnOrderOfItsOwn) {
  constexpr int64_t kSeqLen = 8;
  const TokenDataset dataset = counting(1003);
  const SequenceLoader loader(std::vector<WeightedSplit>{{&dataset}}, kSeqLen, 3);
  const uint64_t windows = loader.windows_per_epoch(0);
  EXPECT_EQ(windows, (1002u - 7u) / 8u);
  std::vector<std::vector<int64_t>> orders;
  for (uint64_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<int64_t> order = begins(loader, epoch * windows, (epoch + 1) * windows);
    EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
    std::set<int64_t> sorted(order.begin(), order.end());
    EXPECT_EQ(sorted.size(), windows);
    const int64_t offset = *sorted.begin();
    EXPECT_LT(offset, kSeqLen);
    for (const int64_t begin : sorted) EXPECT_EQ((begin - offset) % kSeqLen, 0);
    orders.push_back(order);
  }
  EXPECT_NE(orders[0], orders[1]);
  EXPECT_NE(orders[1], orders[2]);
  EXPECT_DOUBLE_EQ(loader.epochs(0, windows), 1);
}

// The order that runs of earlier versions had; a checkpoint of theirs goes on as it began.
TEST_F(Sequences, TheOrderOfOneSplitStaysWhatItWas) {
  const TokenDataset dataset = counting(500);
  const SequenceLoader loader(std::vector<WeightedSplit>{{&dataset}}, 16, 3);
  EXPECT_EQ(begins(loader, 28, 36), (std::vector<int64_t>{350, 446, 157, 109, 477, 221, 173, 445}));
}

TEST_F(Sequences, ASeedMeansAnOrder) {
  const TokenDataset dataset = counting(500);
  const std::vector<WeightedSplit> splits = {{&dataset}};
  EXPECT_EQ(begins(SequenceLoader(splits, 16, 3), 0, 40),
            begins(SequenceLoader(splits, 16, 3), 0, 40));
  EXPECT_NE(begins(SequenceLoader(splits, 16, 3), 0, 40),
            begins(SequenceLoader(splits, 16, 4), 0, 40));
}

TEST_F(Sequences, SeveralSplitsAreDealtOutByWeightEachWithoutRepetition) {
  constexpr int32_t kSecond = 10'000;
  const TokenDataset first = counting(3000);
  const TokenDataset second = counting(700, kSecond);
  const SequenceLoader loader(std::vector<WeightedSplit>{{&first, 3}, {&second, 1}}, 8, 5);
  constexpr uint64_t kPlaces = 600;
  const std::vector<int64_t> all = begins(loader, 0, kPlaces);
  std::vector<int64_t> parts[2];
  for (uint64_t place = 0; place < kPlaces; ++place) {
    parts[all[place] >= kSecond].push_back(all[place]);
    const auto share = static_cast<double>(place + 1) / 4;
    EXPECT_NEAR(static_cast<double>(parts[1].size()), share, 1.01) << place;
  }
  for (size_t split = 0; split < 2; ++split) {
    const uint64_t windows = loader.windows_per_epoch(split);
    EXPECT_DOUBLE_EQ(loader.epochs(split, kPlaces),
                     static_cast<double>(parts[split].size()) / static_cast<double>(windows));
    for (size_t begin = 0; begin + windows <= parts[split].size(); begin += windows) {
      const auto epoch = parts[split].begin() + static_cast<std::ptrdiff_t>(begin);
      EXPECT_EQ(std::set(epoch, epoch + static_cast<std::ptrdiff_t>(windows)).size(), windows);
    }
  }
  EXPECT_GT(loader.epochs(1, kPlaces), 1);
}

TEST_F(Sequences, SplitsOfOneSizeAreReadInDifferentOrders) {
  const TokenDataset first = counting(500);
  const TokenDataset second = counting(500, 10'000);
  const SequenceLoader loader(std::vector<WeightedSplit>{{&first}, {&second}}, 16, 3);
  std::vector<int64_t> parts[2];
  for (const int64_t begin : begins(loader, 0, 40))
    parts[begin >= 10'000].push_back(begin % 10'000);
  EXPECT_NE(parts[0], parts[1]);
}

TEST_F(Sequences, SmallSplitsGiveWhatTheyHave) {
  for (uint64_t tokens = 9; tokens < 40; ++tokens) {
    const TokenDataset dataset = counting(tokens);
    const SequenceLoader loader(std::vector<WeightedSplit>{{&dataset}}, 8, 0);
    ASSERT_GE(loader.windows_per_epoch(0), 1u);
    for (const int64_t begin : begins(loader, 0, 60)) {
      ASSERT_GE(begin, 0);
      ASSERT_LT(begin + 8, static_cast<int64_t>(tokens));
    }
  }
}

TEST_F(Sequences, ImpossibleShapesAreRefused) {
  const TokenDataset large = counting(100);
  const TokenDataset small = counting(8, 10'000);
  const auto load = [](const std::vector<WeightedSplit>& splits, int64_t length) {
    return [=] { SequenceLoader(splits, length, 0); };
  };
  expect_error(ErrorCode::kBadInput, "8 tokens, fewer than one window of 9", load({{&small}}, 8));
  expect_error(ErrorCode::kBadInput, "/10000'", load({{&large}, {&small}}, 8));
  expect_error(ErrorCode::kUsage, "at least 1", load({{&large}}, -4));
}

}  // namespace
}  // namespace tercet
