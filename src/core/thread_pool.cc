// SPDX-License-Identifier: Apache-2.0
#include "core/thread_pool.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <system_error>

#include "core/cpu.h"
#include "core/error.h"

namespace tercet {
namespace {

// Enough that a core which others slow down hands most of its share on.
constexpr int64_t kRangesPerShare = 16;

constexpr int kTicketBits = 16;
constexpr uint64_t kTicketMask = (uint64_t{1} << kTicketBits) - 1;

// Longer than the serial work between two layers, shorter than anyone would notice.
constexpr std::chrono::microseconds kSpinTime{60};
constexpr int kPausesPerLook = 64;  // between two looks at the clock

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Takes a range of the share behind `ticket`. Returns how many there were, 0 when none is left.
int64_t take(std::atomic<uint64_t>& ticket) {
  uint64_t seen = ticket.load(std::memory_order_acquire);
  while ((seen & kTicketMask) != 0) {
    if (ticket.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel)) {
      return static_cast<int64_t>(seen & kTicketMask);
    }
  }
  return 0;
}

}  // namespace

ThreadPool::ThreadPool(int threads) : may_spin_(threads <= usable_cores()) {
  if (threads < 1 || threads > 1024) {
    fail(ErrorCode::kUsage, "thread count is {}, it must be between 1 and 1024", threads);
  }
  shares_ = std::make_unique<Share[]>(static_cast<size_t>(threads));
  workers_.reserve(static_cast<size_t>(threads) - 1);
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
  stopping_.store(true, std::memory_order_relaxed);
  loop_.fetch_add(1);
  loop_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

template <class Done>
bool ThreadPool::spin_until(const Done& done) const {
  if (!may_spin_) return done();
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() - start < kSpinTime);
  return false;
}

ThreadPool::Span ThreadPool::share_of(const Job& job, int index) const {
  const int64_t base = job.units / size();
  const int64_t extra = job.units % size();
  const int64_t first = index * base + std::min<int64_t>(index, extra);
  return {first, first + base + (index < extra ? 1 : 0)};
}

int64_t ThreadPool::ranges_in(const Job& job, const Span& span) {
  return (span.last - span.first + job.range_units - 1) / job.range_units;
}

void ThreadPool::parallel_for(int64_t count, int64_t grain,
                              FunctionRef<void(int64_t, int64_t)> body) {
  assert(grain >= 1);
  if (count <= 0) return;
  const int64_t units = (count - 1) / grain + 1;
  if (workers_.empty() || units == 1) return body(0, count);
  [[maybe_unused]] const bool nested = running_.exchange(true, std::memory_order_relaxed);
  assert(!nested && "parallel_for inside of parallel_for");
  const int64_t largest_share = (units - 1) / size() + 1;
  start({body, count, grain, units, (largest_share - 1) / kRangesPerShare + 1});
  take_ranges(0);
  const auto finished = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
  if (!spin_until(finished)) {
    for (uint32_t left = unfinished_.load(); left != 0; left = unfinished_.load()) {
      unfinished_.wait(left);
    }
  }
  running_.store(false, std::memory_order_relaxed);
}

// Everything about the job is in place before the tickets are, for a worker that is still awake
// takes ranges as soon as it sees a ticket.
void ThreadPool::start(const Job& job) {
  job_ = job;
  uint32_t ranges = 0;
  for (int index = 0; index < size(); ++index) {
    ranges += static_cast<uint32_t>(ranges_in(job, share_of(job, index)));
  }
  unfinished_.store(ranges, std::memory_order_relaxed);
  const uint64_t number = uint64_t{loop_.load(std::memory_order_relaxed)} + 1;
  for (int index = 0; index < size(); ++index) {
    const auto count = static_cast<uint64_t>(ranges_in(job, share_of(job, index)));
    shares_[index].ticket.store(number << kTicketBits | count, std::memory_order_release);
  }
  loop_.fetch_add(1);
  loop_.notify_all();
}

void ThreadPool::take_ranges(int index) noexcept {
  uint32_t taken = 0;
  for (int offset = 0; offset < size(); ++offset) {
    const int owner = (index + offset) % size();
    while (const int64_t remaining = take(shares_[owner].ticket)) {
      run_range(owner, remaining);
      ++taken;
    }
  }
  if (taken == 0) return;
  if (unfinished_.fetch_sub(taken) == taken) unfinished_.notify_one();
}

// The range that was taken when `remaining` of the owner's were left.
void ThreadPool::run_range(int owner, int64_t remaining) const {
  const Job& job = *job_;
  const Span span = share_of(job, owner);
  const int64_t first = span.first + (ranges_in(job, span) - remaining) * job.range_units;
  const int64_t last = first + std::min(span.last - first, job.range_units);
  const int64_t end = last == job.units ? job.count : last * job.grain;
  job.body(first * job.grain, end);
}

void ThreadPool::work(int index) {
  uint32_t seen = 0;
  while (true) {
    const auto started = [&] { return loop_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(started)) loop_.wait(seen);
    seen = loop_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    take_ranges(index);
  }
}

}  // namespace tercet
