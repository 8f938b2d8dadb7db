// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "core/function_ref.h"

namespace tercet {

// A fixed set of worker threads that split loops. The calling thread takes part, so a pool of one
// has no workers. Between loops workers spin for some tens of microseconds, so that the next loop
// starts at once, and then sleep; where there are more threads than usable cores they sleep at
// once. One parallel_for at a time. Not copyable, not movable.
class ThreadPool {
 public:
  // threads in 1..1024. Throws kUsage otherwise, kIo when the system refuses that many.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end) on disjoint ranges that cover [0, count), each a multiple of `grain` >=
  // 1 long but the last, and returns when all are done. Each thread begins with a contiguous share
  // of its own, cut into several ranges, and then helps the others: which thread runs a range
  // depends on timing, the ranges do not. `body` must neither throw nor start a loop on the same
  // pool.
  void parallel_for(int64_t count, int64_t grain,
                    FunctionRef<void(int64_t begin, int64_t end)> body);

 private:
  static constexpr size_t kCacheLine = 64;

  struct Job {
    FunctionRef<void(int64_t, int64_t)> body;
    int64_t count;
    int64_t grain;
    int64_t units;        // pieces of `grain`, the last perhaps short
    int64_t range_units;  // in a range
  };
  // A thread's share of the units, [first, last).
  struct Span {
    int64_t first;
    int64_t last;
  };
  // The ranges of a share that nobody has taken yet, in the low bits; above them the number of the
  // loop, so that a thread that was delayed since an earlier loop cannot take one by mistake.
  struct alignas(kCacheLine) Share {
    std::atomic<uint64_t> ticket{0};
  };

  void stop();
  void work(int index);
  void start(const Job& job);
  void take_ranges(int index) noexcept;
  void run_range(int owner, int64_t remaining) const;
  Span share_of(const Job& job, int index) const;
  static int64_t ranges_in(const Job& job, const Span& span);
  template <class Done>
  bool spin_until(const Done& done) const;

  bool may_spin_;
  std::unique_ptr<Share[]> shares_;  // [size]
  std::vector<std::thread> workers_;
  alignas(kCacheLine) std::atomic<uint32_t> loop_{0};  // counts loops; the workers wait for it
  std::optional<Job> job_;
  std::atomic<bool> stopping_{false};
  alignas(kCacheLine) std::atomic<uint32_t> unfinished_{0};  // ranges; the caller waits for 0
  std::atomic<bool> running_{false};
};

}  // namespace tercet
