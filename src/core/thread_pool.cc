// SPDX-License-Identifier: Apache-2.0
#include "core/thread_pool.h"

#include <algorithm>
#include <system_error>

#include "core/error.h"

namespace tercet {

ThreadPool::ThreadPool(int threads) {
  if (threads < 1 || threads > 1024) {
    fail(ErrorCode::kUsage, "thread count is {}, it must be between 1 and 1024", threads);
  }
  try {
    for (int index = 1; index < threads; ++index) {
      workers_.emplace_back([this, index] { work(index); });
    }
  } catch (const std::system_error& error) {
    stop();
    fail(ErrorCode::kIo, "cannot start {} threads: {}; ask for fewer", threads,
         error.code().message());
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  started_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_share(const Job& job, int index) {
  const int64_t begin = index * job.chunk;
  const int64_t end = std::min(job.count, begin + job.chunk);
  if (begin < end) (*job.body)(begin, end);
}

void ThreadPool::parallel_for(int64_t count, int64_t grain,
                              const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  const int64_t per_thread = (count + size() - 1) / size();
  const Job job{&body, count, (per_thread + grain - 1) / grain * grain};
  if (workers_.empty() || job.chunk >= count) {
    body(0, count);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    job_ = job;
    pending_ = static_cast<int>(workers_.size());
    ++generation_;
  }
  started_.notify_all();
  run_share(job, 0);
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [this] { return pending_ == 0; });
}

void ThreadPool::work(int index) {
  uint64_t seen = 0;
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      started_.wait(lock, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
      job = job_;
    }
    run_share(job, index);
    bool last = false;
    {
      const std::lock_guard lock(mutex_);
      last = --pending_ == 0;
    }
    if (last) finished_.notify_one();
  }
}

}  // namespace tercet
