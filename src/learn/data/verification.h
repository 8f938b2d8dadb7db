// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>

#include "learn/data/corpora.h"

namespace tercet {

struct VerifyOptions {
  // Which shards have been found whole: read first, and written when there is news. It belongs to
  // one user of the data, who trusts it; where it is missing or damaged, everything is read.
  std::filesystem::path record;
  bool all = false;  // reads what the record knows, too
  int threads = 1;
};

struct VerifyProgress {
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;  // of the shards that are read
};

// Compares the bytes of all shards with their checksums. A shard whose size and time of last change
// are those of `record` is not read again, so that the terabytes of a large data set are read once,
// before the first step, and not whenever the run continues. Throws kBadInput naming the first
// shard that is damaged, kInterrupted when *stop (may be null) becomes true; what had been read by
// then is recorded. `progress` (may be empty) is called from the calling thread.
void verify_data(const std::vector<Corpus>& corpora, const VerifyOptions& options,
                 const std::function<void(const VerifyProgress&)>& progress,
                 const std::atomic<bool>* stop);

}  // namespace tercet
