// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace tercet {

// A fixed set of worker threads that split loops. The calling thread takes part, so a pool of one
// has no workers. One parallel_for at a time. Not copyable, not movable.
class ThreadPool {
 public:
  // threads in 1..1024. Throws kUsage otherwise, kIo when the system refuses that many.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end) on disjoint ranges that cover [0, count), one range per thread at most,
  // each a multiple of `grain` long but the last. Returns when all are done. The split depends only
  // on count, grain and size(), never on timing. `body` must not throw.
  void parallel_for(int64_t count, int64_t grain,
                    const std::function<void(int64_t begin, int64_t end)>& body);

 private:
  struct Job {
    const std::function<void(int64_t, int64_t)>* body = nullptr;
    int64_t count = 0;
    int64_t chunk = 0;
  };
  void stop();
  void work(int index);
  static void run_share(const Job& job, int index);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable finished_;
  Job job_;
  uint64_t generation_ = 0;
  int pending_ = 0;
  bool stopping_ = false;
};

}  // namespace tercet
