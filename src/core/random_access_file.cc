// SPDX-License-Identifier: Apache-2.0
#include "core/random_access_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "core/error.h"

namespace tercet {
namespace {

[[noreturn]] void fail_errno(const char* action, const std::filesystem::path& path, int number) {
  fail(ErrorCode::kIo, "cannot {} '{}': {}", action, path.string(), errno_text(number));
}

int64_t modification_ns(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

}  // namespace

RandomAccessFile::RandomAccessFile(const std::filesystem::path& path) : path_(path) {
  // O_NONBLOCK: opening a pipe must end in an error, not wait for a writer.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail_errno("open", path, errno);
  struct stat info = {};
  const int status = ::fstat(descriptor_, &info);
  const int number = errno;
  if (status != 0 || !S_ISREG(info.st_mode)) ::close(descriptor_);
  if (status != 0) fail_errno("read", path, number);
  if (!S_ISREG(info.st_mode)) {
    fail(ErrorCode::kIo, "cannot read '{}': it is {}", path.string(),
         S_ISDIR(info.st_mode) ? "a directory, a file is expected" : "not a regular file");
  }
  size_ = static_cast<uint64_t>(info.st_size);
  modified_ns_ = modification_ns(info);
  // The system's guess that reading goes on behind a part would fetch many times what is used.
  ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_RANDOM);
}

RandomAccessFile::~RandomAccessFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

RandomAccessFile::RandomAccessFile(RandomAccessFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      modified_ns_(other.modified_ns_) {}

RandomAccessFile& RandomAccessFile::operator=(RandomAccessFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(modified_ns_, other.modified_ns_);
  return *this;
}

void RandomAccessFile::read_at(uint64_t offset, std::span<uint8_t> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("read", path_, errno);
    if (got == 0) {
      fail(ErrorCode::kBadInput, "'{}' has been cut: it ends at {} of {} bytes", path_.string(),
           offset, size_);
    }
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  check_unchanged();
}

void RandomAccessFile::check_unchanged() const {
  struct stat info = {};
  if (::fstat(descriptor_, &info) != 0) fail_errno("read", path_, errno);
  if (static_cast<uint64_t>(info.st_size) != size_ || modification_ns(info) != modified_ns_) {
    fail(ErrorCode::kBadInput, "'{}' has been written to while it was in use", path_.string());
  }
}

void RandomAccessFile::will_need(uint64_t offset, uint64_t bytes) const {
  ::posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                  POSIX_FADV_WILLNEED);
}

}  // namespace tercet
