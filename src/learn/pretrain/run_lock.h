// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace tercet::learn {

// Keeps a run's directory to one process: OUT/run.lock, locked while the object lives. A process
// that dies, however, lets go of it. Where the file system knows no locks, nothing is held.
class RunLock {
 public:
  // Throws kUsage naming the process that holds it, kIo when the file cannot be opened.
  explicit RunLock(const std::filesystem::path& out);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace tercet::learn
