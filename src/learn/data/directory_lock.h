// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace tercet {

// Keeps other processes from writing to a directory as long as it lives, where the file system can.
class DirectoryLock {
 public:
  // Throws kUsage when another process holds it, kIo when there is no such directory.
  explicit DirectoryLock(const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace tercet
