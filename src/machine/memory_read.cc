// SPDX-License-Identifier: Apache-2.0
#include "machine/memory_read.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

namespace tercet {
namespace {

// A cache line; the compiler makes as many vector registers of it as the CPU needs.
using Line = uint64_t __attribute__((vector_size(64)));
constexpr int64_t kLineBytes = sizeof(Line);
constexpr int64_t kPageLines = 4096 / kLineBytes;

// One addition per register loaded: less than what memory can deliver in that time on any CPU.
uint64_t sum_lines(const Line* lines, int64_t count) {
  Line even = {};
  Line odd = {};
  for (int64_t i = 0; i + 1 < count; i += 2) {
    even += lines[i];
    odd += lines[i + 1];
  }
  even += odd;
  uint64_t sum = 0;
  for (int lane = 0; lane < 8; ++lane) sum += even[lane];
  return sum;
}

}  // namespace

MemoryReader::MemoryReader(size_t bytes) : buffer_(bytes) {
  // Pages that were never written are all the same one.
  std::memset(buffer_.data(), 1, buffer_.size());
}

ReadSpeed MemoryReader::measure(ThreadPool& pool, int passes) const {
  using Clock = std::chrono::steady_clock;
  const auto* lines = reinterpret_cast<const Line*>(buffer_.data());
  const int64_t count = static_cast<int64_t>(buffer_.size()) / kLineBytes;
  std::atomic<uint64_t> sink{0};  // keeps the reads from being optimised away
  const auto read = [&](int64_t begin, int64_t end) {
    sink += sum_lines(lines + begin, end - begin);
  };
  std::vector<double> speeds;
  for (int pass = 0; pass < passes; ++pass) {
    const Clock::time_point start = Clock::now();
    pool.parallel_for(count, kPageLines, read);
    const std::chrono::duration<double> seconds = Clock::now() - start;
    speeds.push_back(static_cast<double>(buffer_.size()) / seconds.count());
  }
  if (sink.load() == 0 || speeds.empty()) return {};
  std::sort(speeds.begin(), speeds.end());
  return {speeds[speeds.size() / 2], speeds.back()};
}

}  // namespace tercet
