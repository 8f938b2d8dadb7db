// SPDX-License-Identifier: Apache-2.0
#include "learn/data/read_ahead.h"

#include <unistd.h>

#include <chrono>

#include "formats/support.h"
#include "learn/split_support.h"

namespace tercet {
namespace {

using testing::counting_split;
using testing::expect_error;
using testing::TemporaryDirectory;

constexpr int64_t kSeqLen = 16;
constexpr size_t kRow = kSeqLen + 1;

class Reading : public ::testing::Test {
 protected:
  Reading()
      : split_(counting_split(directory_.path(), 5000)),
        loader_(std::vector<WeightedSplit>{{&split_}}, kSeqLen, 11) {}

  // Sequences [begin, end) by the loader itself.
  std::vector<int64_t> expected(uint64_t begin, uint64_t end) const {
    std::vector<int64_t> out((end - begin) * kRow);
    for (uint64_t i = begin; i < end; ++i) loader_.load(i, out.data() + (i - begin) * kRow);
    return out;
  }
  std::vector<int64_t> next(ReadAhead& reader, uint64_t micro_batch_size) const {
    std::vector<int64_t> out(micro_batch_size * kRow);
    reader.next(out.data(), nullptr);
    return out;
  }

  TemporaryDirectory directory_;
  TokenDataset split_;
  SequenceLoader loader_;
};

TEST_F(Reading, DeliversTheStepsInOrderWhateverTheMicroBatches) {
  for (const uint64_t micro_batch : {1u, 2u, 3u, 12u}) {
    ReadAhead reader(loader_, {12, 0, 12, micro_batch}, 3, 40);
    for (uint64_t at = 3 * 12; at < 40 * 12; at += micro_batch) {
      ASSERT_EQ(next(reader, micro_batch), expected(at, at + micro_batch));
    }
    expect_error(ErrorCode::kInternal, "no more", [&] { next(reader, micro_batch); });
  }
}

// Two processes together take what one takes.
TEST_F(Reading, DeliversThePartOfOneProcess) {
  ReadAhead first(loader_, {12, 0, 4, 2}, 0, 20);
  ReadAhead second(loader_, {12, 4, 12, 4}, 0, 20);
  for (uint64_t step = 0; step < 20; ++step) {
    for (uint64_t i = 0; i < 4; i += 2) {
      ASSERT_EQ(next(first, 2), expected(step * 12 + i, step * 12 + i + 2));
    }
    for (uint64_t i = 4; i < 12; i += 4) {
      ASSERT_EQ(next(second, 4), expected(step * 12 + i, step * 12 + i + 4));
    }
  }
}

TEST_F(Reading, EndsWithUnreadMicroBatches) {
  for (int repeat = 0; repeat < 50; ++repeat) {
    ReadAhead reader(loader_, {8, 0, 8, 1}, 0, 1'000'000);
    if (repeat % 2 == 0) next(reader, 1);
  }
  ReadAhead finished(loader_, {8, 0, 8, 1}, 5, 5);  // nothing to read at all
}

// What was read before the fault is delivered; then the shard is named, and goes on being named.
TEST_F(Reading, AFaultReachesTheReaderWithTheShardsName) {
  for (const uint64_t fault : {0u, 3u}) {
    const std::filesystem::path shard = directory_.file("train-00020.bin");
    const std::string whole = testing::read_bytes(shard);
    const TokenDataset split = TokenDataset::open(directory_.path(), Split::kTrain);
    const SequenceLoader loader(std::vector<WeightedSplit>{{&split}}, kSeqLen, 11);
    std::vector<int64_t> row(kRow);
    ASSERT_EQ(::truncate(shard.c_str(), 64 + static_cast<off_t>(fault)), 0);
    uint64_t good = 0;
    try {
      for (;; ++good) loader.load(good, row.data());
    } catch (const Error&) {
    }
    ASSERT_GT(good, 4u);
    ReadAhead reader(loader, {4, 0, 4, 1}, 0, 1000);
    for (uint64_t i = 0; i < good; ++i) ASSERT_EQ(next(reader, 1), expected(i, i + 1));
    for (int again = 0; again < 2; ++again) {
      expect_error(ErrorCode::kBadInput, "train-00020.bin' has been cut", [&] { next(reader, 1); });
    }
    testing::write_bytes(shard, whole);
  }
}

TEST_F(Reading, PartsThatMicroBatchesDoNotDivideAreRefused) {
  for (const StepPart& part : std::vector<StepPart>{
           {8, 0, 8, 3}, {8, 0, 8, 0}, {8, 4, 4, 1}, {8, 6, 4, 1}, {8, 4, 9, 1}}) {
    expect_error(ErrorCode::kUsage, "are no micro-batches",
                 [&] { ReadAhead(loader_, part, 0, 10); });
  }
}

TEST_F(Reading, StoppingDoesNotHoldUpWhatIsReady) {
  const std::atomic<bool> stop = true;
  ReadAhead reader(loader_, {2, 0, 2, 2}, 0, 100);
  std::vector<int64_t> out(2 * kRow);
  reader.next(out.data(), &stop);
  EXPECT_EQ(out, expected(0, 2));
  EXPECT_GE(reader.waited_seconds(), 0);
}

}  // namespace
}  // namespace tercet
