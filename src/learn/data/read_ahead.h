// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "learn/data/sequence_loader.h"

namespace tercet {

// The part of every step that one process trains on: the sequences [begin, end) of a step's
// batch_size, micro_batch_size at a time, which must divide end - begin.
struct StepPart {
  uint64_t batch_size = 1;
  uint64_t begin = 0;
  uint64_t end = 1;
  uint64_t micro_batch_size = 1;

  uint64_t micro_batches() const { return (end - begin) / micro_batch_size; }
};

// Micro-batches in the order in which a run takes them, read by a thread of its own some way ahead,
// so that training never waits for the disk: it asks the system for all windows of the next
// micro-batch before it reads those of the current one, and holds a step's worth ready (at least 4
// micro-batches; at most 128 MiB, or 4). What is delivered depends on the step alone, not on how
// far the thread has come.
class ReadAhead {
 public:
  // Delivers the steps [first_step, steps). `loader` must outlive it. Throws kUsage for a part that
  // the micro-batches do not divide, kIo when the system refuses a thread.
  ReadAhead(const SequenceLoader& loader, const StepPart& part, uint64_t first_step,
            uint64_t steps);
  // Ends the thread; waits at most for the read that it is in.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // The next micro-batch: tokens_out [micro_batch_size, seq_len + 1], row-major. Throws what
  // loading it threw, kInterrupted when *stop (may be null) becomes true while a slow disk is
  // waited for, kInternal after the last.
  void next(int64_t* tokens_out, const std::atomic<bool>* stop);

  // How long next() has waited in all.
  double waited_seconds() const { return waited_seconds_; }

 private:
  struct Slot {
    std::vector<int64_t> tokens;
    std::exception_ptr error;  // instead of tokens
  };

  void work();
  void load(uint64_t micro_batch, Slot& slot) const;
  void announce(uint64_t micro_batch) const;
  uint64_t position(uint64_t micro_batch) const;
  void wait_for_slot(const std::atomic<bool>* stop);

  const SequenceLoader& loader_;
  StepPart part_;
  uint64_t total_;  // micro-batches until the run ends, counted from step 0
  uint64_t first_;  // the one to begin with, counted alike
  std::vector<Slot> ring_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::condition_variable emptied_;
  uint64_t loaded_;    // micro-batches, counted from step 0; guarded by mutex_
  uint64_t consumed_;  // the same
  bool stopping_ = false;
  double waited_seconds_ = 0;
  std::thread thread_;
};

}  // namespace tercet
