// SPDX-License-Identifier: Apache-2.0
#include "learn/data/read_ahead.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#include "core/error.h"

namespace tercet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kFewest = 4;  // micro-batches that are held ready
constexpr uint64_t kMostTokens = (uint64_t{128} << 20) / sizeof(int64_t);
constexpr auto kLookAtStop = std::chrono::milliseconds(200);

}  // namespace

ReadAhead::ReadAhead(const SequenceLoader& loader, const StepPart& part, uint64_t first_step,
                     uint64_t steps)
    : loader_(loader), part_(part) {
  const bool divides = part.begin < part.end && part.end <= part.batch_size &&
                       part.micro_batch_size > 0 &&
                       (part.end - part.begin) % part.micro_batch_size == 0;
  if (!divides) {
    fail(ErrorCode::kUsage, "sequences [{}, {}) of a step of {} are no micro-batches of {}",
         part.begin, part.end, part.batch_size, part.micro_batch_size);
  }
  total_ = steps * part.micro_batches();
  first_ = loaded_ = consumed_ = std::min(first_step, steps) * part.micro_batches();
  const uint64_t tokens =
      part.micro_batch_size * (static_cast<uint64_t>(loader.sequence_length()) + 1);
  const uint64_t most = std::max(kFewest, kMostTokens / tokens);
  ring_.resize(std::clamp(part.micro_batches(), kFewest, most));
  for (Slot& slot : ring_) slot.tokens.resize(tokens);
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error& error) {
    fail(ErrorCode::kIo, "cannot start a thread that reads the data: {}", error.what());
  }
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  emptied_.notify_one();
  thread_.join();
}

void ReadAhead::next(int64_t* tokens_out, const std::atomic<bool>* stop) {
  if (consumed_ == total_) fail(ErrorCode::kInternal, "the run has no more micro-batches");
  wait_for_slot(stop);
  const Slot& slot = ring_[consumed_ % ring_.size()];
  if (slot.error) std::rethrow_exception(slot.error);
  std::copy(slot.tokens.begin(), slot.tokens.end(), tokens_out);
  {
    const std::lock_guard lock(mutex_);
    ++consumed_;
  }
  emptied_.notify_one();
}

void ReadAhead::wait_for_slot(const std::atomic<bool>* stop) {
  const Clock::time_point begin = Clock::now();
  std::unique_lock lock(mutex_);
  while (!filled_.wait_for(lock, kLookAtStop, [this] { return loaded_ > consumed_; })) {
    if (stop != nullptr && *stop) {
      fail(ErrorCode::kInterrupted, "interrupted while the data was waited for");
    }
  }
  waited_seconds_ += std::chrono::duration<double>(Clock::now() - begin).count();
}

void ReadAhead::work() {
  std::unique_lock lock(mutex_);
  while (loaded_ < total_) {
    emptied_.wait(lock, [this] { return stopping_ || loaded_ - consumed_ < ring_.size(); });
    if (stopping_) return;
    Slot& slot = ring_[loaded_ % ring_.size()];
    const uint64_t micro_batch = loaded_;
    lock.unlock();
    load(micro_batch, slot);
    lock.lock();
    ++loaded_;
    filled_.notify_one();
    if (slot.error) return;  // nothing is asked for after it
  }
}

void ReadAhead::load(uint64_t micro_batch, Slot& slot) const {
  try {
    if (micro_batch == first_) announce(micro_batch);
    if (micro_batch + 1 < total_) announce(micro_batch + 1);
    const uint64_t row = static_cast<uint64_t>(loader_.sequence_length()) + 1;
    for (uint64_t i = 0; i < part_.micro_batch_size; ++i) {
      loader_.load(position(micro_batch) + i, slot.tokens.data() + i * row);
    }
  } catch (...) {
    slot.error = std::current_exception();
  }
}

void ReadAhead::announce(uint64_t micro_batch) const {
  for (uint64_t i = 0; i < part_.micro_batch_size; ++i) {
    loader_.will_need(position(micro_batch) + i);
  }
}

// Of the first sequence.
uint64_t ReadAhead::position(uint64_t micro_batch) const {
  const uint64_t step = micro_batch / part_.micro_batches();
  const uint64_t within = micro_batch % part_.micro_batches();
  return step * part_.batch_size + part_.begin + within * part_.micro_batch_size;
}

}  // namespace tercet
