// SPDX-License-Identifier: Apache-2.0
#include "learn/data/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "core/error.h"

namespace tercet {

DirectoryLock::DirectoryLock(const std::filesystem::path& directory) {
  descriptor_ = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) {
    fail(ErrorCode::kIo, "cannot open directory '{}': {}", directory.string(), errno_text(errno));
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(descriptor_);
  fail(ErrorCode::kUsage, "another process is writing to '{}'; wait for it or choose another",
       directory.string());
}

DirectoryLock::~DirectoryLock() { ::close(descriptor_); }

}  // namespace tercet
