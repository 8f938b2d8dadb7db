// SPDX-License-Identifier: Apache-2.0
#include "cli/memory_speed.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "core/thread_pool.h"

namespace tercet::cli {

double measure_memory_read_speed(int threads) {
  constexpr int64_t kBytes = int64_t{256} << 20;
  constexpr int64_t kWords = kBytes / int64_t{sizeof(uint64_t)};
  constexpr int kPasses = 4;
  ThreadPool pool(threads);
  const auto words = std::make_unique_for_overwrite<uint64_t[]>(kWords);
  const auto fill = [&](int64_t begin, int64_t end) {
    std::fill(words.get() + begin, words.get() + end, uint64_t{1});
  };
  pool.parallel_for(kWords, 4096, fill);
  std::atomic<uint64_t> sink{0};  // keeps the reads from being optimised away
  const auto read = [&](int64_t begin, int64_t end) {
    uint64_t sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += words[i];
    sink += sum;
  };
  double best_seconds = 1e9;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(kWords, 4096, read);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best_seconds = std::min(best_seconds, seconds.count());
  }
  return sink.load() == 0 ? 0.0 : static_cast<double>(kBytes) / best_seconds;
}

}  // namespace tercet::cli
