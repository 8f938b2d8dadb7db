// SPDX-License-Identifier: Apache-2.0
#include "learn/data/batch_loader.h"

#include <algorithm>
#include <map>
#include <set>

#include "formats/support.h"
#include "learn/data/dataset.h"

namespace tercet {
namespace {

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

// A split whose token at place i is i.
class Batches : public ::testing::Test {
 protected:
  TokenDataset counting(uint64_t tokens) const {
    DatasetManifest manifest;
    manifest.vocab_size = 100'000;
    for (uint64_t begin = 0; begin < tokens; begin += 70) {
      const std::string name = fmt::format("train-{:05}.bin", manifest.train.shards.size());
      ShardWriter writer(directory_.file(name), manifest.vocab_size, 0);
      for (uint64_t i = begin; i < std::min(begin + 70, tokens); ++i) {
        writer.append(std::vector<int32_t>{static_cast<int32_t>(i)});
      }
      const ShardHeader header = writer.finish();
      manifest.train.shards.push_back({name, header.n_tokens, 0, header.checksum});
    }
    manifest.train.tokens = tokens;
    write_manifest(directory_.path(), manifest);
    return TokenDataset::open(directory_.path(), Split::kTrain);
  }
  TemporaryDirectory directory_;
};

TEST_F(Batches, AnEpochVisitsEveryWindowOnceInAnOrderOfItsOwn) {
  constexpr int64_t kSeqLen = 8;
  const TokenDataset dataset = counting(1003);
  const BatchLoader loader(dataset, 1, kSeqLen, 3);
  const uint64_t windows = loader.windows_per_epoch();
  EXPECT_EQ(windows, (1002u - 7u) / 8u);
  std::map<uint64_t, std::vector<int64_t>> begins;
  for (uint64_t batch = 0; batch < 3 * windows; ++batch) {
    int64_t row[kSeqLen + 1];
    loader.load(batch, row);
    for (int64_t i = 0; i < kSeqLen; ++i) ASSERT_EQ(row[i] + 1, row[i + 1]);
    begins[batch / windows].push_back(row[0]);
  }
  for (auto& [epoch, order] : begins) {
    EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
    std::set<int64_t> sorted(order.begin(), order.end());
    EXPECT_EQ(sorted.size(), windows);
    const int64_t offset = *sorted.begin();
    EXPECT_LT(offset, kSeqLen);
    for (const int64_t begin : sorted) EXPECT_EQ((begin - offset) % kSeqLen, 0);
  }
  EXPECT_NE(begins[0], begins[1]);
  EXPECT_NE(begins[1], begins[2]);
  EXPECT_DOUBLE_EQ(loader.epochs(windows), 1);
}

TEST_F(Batches, RowsContinueAcrossBatchesAndEpochs) {
  const TokenDataset dataset = counting(500);
  const BatchLoader single(dataset, 1, 16, 3);
  const BatchLoader batched(dataset, 7, 16, 3);
  std::vector<int64_t> row(17);
  std::vector<int64_t> rows(7 * 17);
  for (uint64_t batch = 0; batch < 20; ++batch) {
    batched.load(batch, rows.data());
    for (uint64_t i = 0; i < 7; ++i) {
      single.load(batch * 7 + i, row.data());
      EXPECT_TRUE(std::equal(row.begin(), row.end(), rows.begin() + static_cast<int64_t>(i) * 17));
    }
  }
  const BatchLoader other(dataset, 7, 16, 4);
  std::vector<int64_t> others(7 * 17);
  batched.load(0, rows.data());
  other.load(0, others.data());
  EXPECT_NE(rows, others);
}

TEST_F(Batches, SmallSplitsGiveWhatTheyHave) {
  for (uint64_t tokens = 9; tokens < 40; ++tokens) {
    const TokenDataset dataset = counting(tokens);
    const BatchLoader loader(dataset, 2, 8, 0);
    ASSERT_GE(loader.windows_per_epoch(), 1u);
    std::vector<int64_t> rows(2 * 9);
    for (uint64_t batch = 0; batch < 30; ++batch) {
      loader.load(batch, rows.data());
      for (const size_t last : {8u, 17u}) {
        ASSERT_GE(rows[last - 8], 0);
        ASSERT_LT(rows[last], static_cast<int64_t>(tokens));
      }
    }
  }
}

TEST_F(Batches, ImpossibleShapesAreRefused) {
  const TokenDataset dataset = counting(8);
  expect_error(ErrorCode::kBadInput, "fewer than one window of 9",
               [&] { BatchLoader(dataset, 1, 8, 0); });
  expect_error(ErrorCode::kUsage, "at least 1", [&] { BatchLoader(dataset, 0, 4, 0); });
  expect_error(ErrorCode::kUsage, "at least 1", [&] { BatchLoader(dataset, 1, -4, 0); });
}

}  // namespace
}  // namespace tercet
