// SPDX-License-Identifier: Apache-2.0
#include "core/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
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
  for (int threads = 1; threads <= 5; ++threads) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const int64_t count : {0, 1, 3, 7, 64, 333, 999, 1000}) {
      for (const int64_t grain : {1, 4, 7, 1000, 5000}) {
        int64_t expected_begin = 0;
        for (const auto& [begin, end] : ranges_of(pool, count, grain)) {
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

TEST(ThreadPool, EnormousCountsDoNotOverflow) {
  ThreadPool pool(3);
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  for (const int64_t grain : {int64_t{1}, int64_t{1000}, kMost - 1, kMost}) {
    const Ranges ranges = ranges_of(pool, kMost, grain);
    EXPECT_EQ(ranges.front().first, 0);
    EXPECT_EQ(ranges.back().second, kMost);
    for (size_t i = 1; i < ranges.size(); ++i) EXPECT_EQ(ranges[i].first, ranges[i - 1].second);
  }
}

TEST(ThreadPool, TheRangesAreAlwaysTheSame) {
  ThreadPool first(3);
  ThreadPool second(3);
  EXPECT_EQ(ranges_of(first, 1000, 8), ranges_of(second, 1000, 8));
  EXPECT_GT(ranges_of(first, 1000, 8).size(), 6u);  // several for each thread
}

TEST(ThreadPool, ManyLoopsInARowLoseNothing) {
  for (const int threads : {2, 3, 16}) {  // more than the cores of many machines
    ThreadPool pool(threads);
    std::vector<int64_t> sums(64, 0);
    for (int round = 0; round < 2000; ++round) {
      pool.parallel_for(round % 64 + 1, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) sums[i] += i;
      });
    }
    for (int64_t i = 0; i < 64; ++i) {
      const int64_t rounds = 2000 / 64 * (64 - i) + std::max<int64_t>(0, 2000 % 64 - i);
      EXPECT_EQ(sums[i], rounds * i);
    }
  }
}

TEST(ThreadPool, SeveralPoolsOnTheSameCores) {
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&sum] {
      ThreadPool pool(4);
      for (int round = 0; round < 300; ++round) {
        pool.parallel_for(1000, 10, [&](int64_t begin, int64_t end) { sum += end - begin; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum.load(), 3 * 300 * 1000);
}

TEST(ThreadPool, LoopsAfterPausesFindTheirSleepers) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  for (int round = 0; round < 50; ++round) {
    std::this_thread::sleep_for(std::chrono::microseconds(round * 10));
    pool.parallel_for(100, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
  }
  EXPECT_EQ(sum.load(), 5000);
}

TEST(ThreadPool, RunsOnSeveralThreadsAndOnTheCaller) {
  ThreadPool pool(2);
  std::mutex mutex;
  std::vector<std::thread::id> ids;
  std::atomic<int> arrived{0};
  pool.parallel_for(2, 1, [&](int64_t, int64_t) {
    ++arrived;
    while (arrived.load() < 2) std::this_thread::yield();  // so that nobody takes both
    const std::lock_guard lock(mutex);
    ids.push_back(std::this_thread::get_id());
  });
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_TRUE(ids[0] == std::this_thread::get_id() || ids[1] == std::this_thread::get_id());
}

// The first range waits until another thread has done all others, also those of the same share.
TEST(ThreadPool, AThreadThatIsHeldUpLosesItsShareToTheOthers) {
  ThreadPool pool(2);
  std::atomic<int64_t> others{0};
  pool.parallel_for(1000, 1, [&](int64_t begin, int64_t end) {
    if (begin != 0) {
      others += end - begin;
      return;
    }
    while (others.load() < 1000 - end) std::this_thread::yield();
  });
  EXPECT_GT(others.load(), 500);
}

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

TEST(ThreadPool, AnIdlePoolSleeps) {
  ThreadPool pool(4);
  pool.parallel_for(100, 1, [](int64_t, int64_t) {});
  const double before = processor_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(processor_seconds() - before, 0.05);
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

#ifndef NDEBUG
TEST(ThreadPoolDeathTest, NestedLoopsAreAFault) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        ThreadPool pool(2);
        pool.parallel_for(
            4, 1, [&](int64_t, int64_t) { pool.parallel_for(4, 1, [](int64_t, int64_t) {}); });
      },
      "inside of parallel_for");
}
#endif

}  // namespace
}  // namespace tercet
