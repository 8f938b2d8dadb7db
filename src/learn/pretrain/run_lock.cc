// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "core/error.h"

namespace tercet::learn {
namespace {

// What the holder wrote: "1234 on name-of-the-machine".
std::string holder(int descriptor) {
  std::array<char, 128> text;
  const ssize_t count = ::pread(descriptor, text.data(), text.size(), 0);
  return count > 0 ? std::string(text.data(), static_cast<size_t>(count)) : "unknown";
}

std::string own_name() {
  std::array<char, 65> machine = {};
  if (::gethostname(machine.data(), machine.size() - 1) != 0) machine[0] = '\0';
  return fmt::format("{} on {}", ::getpid(), machine.data());
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& out) {
  const std::filesystem::path file = out / "run.lock";
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    fail(ErrorCode::kIo, "cannot open '{}': {}", file.string(), errno_text(errno));
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) {
    // Only for the message above; the lock holds without it.
    const std::string name = own_name();
    if (::ftruncate(descriptor_, 0) == 0 && ::write(descriptor_, name.data(), name.size()) < 0) {
      ::ftruncate(descriptor_, 0);
    }
    return;
  }
  if (errno != EWOULDBLOCK) return;
  const std::string process = holder(descriptor_);
  ::close(descriptor_);
  fail(ErrorCode::kUsage,
       "the run in '{}' is being trained by process {}; wait for its end or stop it, or choose "
       "another --out",
       out.string(), process);
}

RunLock::~RunLock() { ::close(descriptor_); }

}  // namespace tercet::learn
