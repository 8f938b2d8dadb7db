// SPDX-License-Identifier: Apache-2.0
#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"

namespace tercet {
namespace {

using Ranges = std::vector<std::pair<int64_t, int64_t>>;

Ranges ranges_of(ThreadPool& pool, int64_t count, int64_t grain) {
  std::mutex mutex;
  Ranges ranges;
  pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    ranges.emplace_back(begin, end);
  });
  std::sort(ranges.begin(), ranges.end());
  return ranges;
}

TEST(ThreadPool, CoversEachRangeExactlyOnce) {
  for (int threads = 1; threads <= 4; ++threads) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const int64_t count : {0, 1, 3, 7, 64, 999, 1000}) {
      for (const int64_t grain : {1, 4, 7, 1000, 5000}) {
        const Ranges ranges = ranges_of(pool, count, grain);
        EXPECT_LE(ranges.size(), static_cast<size_t>(threads));
        int64_t expected_begin = 0;
        for (const auto& [begin, end] : ranges) {
          EXPECT_EQ(begin, expected_begin);
          EXPECT_LT(begin, end);
          EXPECT_TRUE(end == count || (end - begin) % grain == 0) << begin << ' ' << end;
          expected_begin = end;
        }
        EXPECT_EQ(expected_begin, count);
      }
    }
  }
}

TEST(ThreadPool, TheSplitIsAlwaysTheSame) {
  ThreadPool first(3);
  ThreadPool second(3);
  EXPECT_EQ(ranges_of(first, 1000, 8), ranges_of(second, 1000, 8));
  EXPECT_EQ(ranges_of(first, 1000, 8).size(), 3u);
}

TEST(ThreadPool, ManyLoopsInARowLoseNothing) {
  ThreadPool pool(4);
  std::vector<int64_t> sums(64, 0);
  for (int round = 0; round < 2000; ++round) {
    pool.parallel_for(64, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sums[i] += i;
    });
  }
  for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(sums[i], 2000 * i);
}

TEST(ThreadPool, RunsOnSeveralThreadsAndOnTheCaller) {
  ThreadPool pool(2);
  std::mutex mutex;
  std::vector<std::thread::id> ids;
  pool.parallel_for(2, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    ids.push_back(std::this_thread::get_id());
  });
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_TRUE(ids[0] == std::this_thread::get_id() || ids[1] == std::this_thread::get_id());
}

TEST(ThreadPool, RefusesImpossibleSizes) {
  for (const int threads : {0, -1, 1025}) {
    try {
      ThreadPool pool(threads);
      ADD_FAILURE() << threads;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
    }
  }
}

}  // namespace
}  // namespace tercet
