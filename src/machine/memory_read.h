// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "core/aligned_buffer.h"
#include "core/thread_pool.h"

namespace tercet {

// Bytes per second. On a shared machine passes differ much: the median says what a program got in
// that moment, the best what the memory can do.
struct ReadSpeed {
  double median = 0;
  double best = 0;
};

// Measures how fast threads read memory: the bound of generation, which reads all weights for every
// token. Holds a buffer far larger than caches, in large pages where the system gives them.
class MemoryReader {
 public:
  static constexpr size_t kDefaultBytes = size_t{512} << 20;

  // Throws kIo when the system does not give that much.
  explicit MemoryReader(size_t bytes = kDefaultBytes);

  // Reads all of the buffer `passes` times (one or more), shared out evenly over the pool.
  ReadSpeed measure(ThreadPool& pool, int passes) const;

 private:
  AlignedBuffer buffer_;
};

}  // namespace tercet
