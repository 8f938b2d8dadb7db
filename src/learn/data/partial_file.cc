// SPDX-License-Identifier: Apache-2.0
#include "learn/data/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file.h"

namespace tercet {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_errno(const char* action, const fs::path& path, int number) {
  fail(ErrorCode::kIo, "cannot {} '{}': {}", action, path.string(), errno_text(number));
}

}  // namespace

fs::path PartialFile::partial_name(const fs::path& target) {
  fs::path partial = target;
  partial += ".partial";
  return partial;
}

PartialFile::PartialFile(const fs::path& target, uint64_t keep)
    : target_(target), partial_(partial_name(target)), size_(keep) {
  std::error_code ignored;
  if (keep > 0 && !fs::exists(partial_, ignored)) fs::rename(target_, partial_, ignored);
  const int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
  descriptor_ = ::open(partial_.c_str(), flags, 0644);
  if (descriptor_ < 0) fail_errno("create", partial_, errno);
  struct stat info = {};
  const bool cut = ::fstat(descriptor_, &info) == 0 && static_cast<uint64_t>(info.st_size) >= keep;
  if (!cut || ::ftruncate(descriptor_, static_cast<off_t>(keep)) != 0) {
    const int number = errno;
    ::close(descriptor_);
    if (cut) fail_errno("cut", partial_, number);
    fail(ErrorCode::kBadInput, "'{}' is shorter than the {} bytes that were written",
         partial_.string(), keep);
  }
}

PartialFile::~PartialFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

PartialFile::PartialFile(PartialFile&& other) noexcept
    : target_(std::move(other.target_)),
      partial_(std::move(other.partial_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

void PartialFile::write(std::span<const uint8_t> bytes) {
  write_at(size_, bytes);
  size_ += bytes.size();
}

void PartialFile::write_at(uint64_t offset, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno("write", partial_, errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
}

void PartialFile::flush() {
  if (::fsync(descriptor_) != 0) fail_errno("flush", partial_, errno);
}

void PartialFile::commit(std::span<const uint8_t> start) {
  write_at(0, start);
  flush();
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_errno("write", partial_, errno);
  if (::rename(partial_.c_str(), target_.c_str()) != 0) fail_errno("rename", partial_, errno);
  sync_directory(target_.parent_path());
}

}  // namespace tercet
