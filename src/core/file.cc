// SPDX-License-Identifier: Apache-2.0
#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "core/disk.h"
#include "core/error.h"

namespace tercet {
namespace {

[[noreturn]] void fail_errno(std::string_view action, const std::filesystem::path& path) {
  const int number = errno;
  fail(ErrorCode::kIo, "cannot {} '{}': {}", action, path.string(), write_error_text(number, path));
}

void close_keeping_errno(int descriptor) {
  const int number = errno;
  ::close(descriptor);
  errno = number;
}

// Size of an open regular file; closes the descriptor and throws otherwise.
size_t regular_file_size(int descriptor, const std::filesystem::path& path) {
  struct stat info = {};
  if (::fstat(descriptor, &info) != 0) {
    close_keeping_errno(descriptor);
    fail_errno("read", path);
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(descriptor);
    fail(ErrorCode::kIo, "cannot read '{}': it is {}", path.string(),
         S_ISDIR(info.st_mode) ? "a directory, a file is expected" : "not a regular file");
  }
  return static_cast<size_t>(info.st_size);
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  // O_NONBLOCK: opening a pipe must end in an error, not wait for a writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail_errno("open", path);
  size_ = regular_file_size(descriptor, path);
  if (size_ != 0) {
    void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapped == MAP_FAILED) {
      close_keeping_errno(descriptor);
      fail_errno("map", path);
    }
    data_ = static_cast<const uint8_t*>(mapped);
  }
  ::close(descriptor);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<uint8_t*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::release(std::span<const uint8_t> part) const {
  const bool inside = part.data() >= data_ && part.size() <= size_ &&
                      static_cast<size_t>(part.data() - data_) <= size_ - part.size();
  if (data_ == nullptr || !inside) return;  // never let go of memory that is not the file's
  // Where one page is read, the system maps those that lie around it in a window of this size.
  constexpr uintptr_t kWindow = uintptr_t{1} << 16;
  const auto begin = reinterpret_cast<uintptr_t>(data_);
  const auto from = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t first = std::max(begin, from / kWindow * kWindow);
  const uintptr_t last =
      std::min(begin + size_, (from + part.size() + kWindow - 1) / kWindow * kWindow);
  ::madvise(const_cast<uint8_t*>(data_) + (first - begin), last - first, MADV_DONTNEED);
}

AtomicFile::AtomicFile(const std::filesystem::path& target) : target_(target) {
  // A name of its own, so that two writers of one target never share a file, and a file that is
  // already there is never touched.
  temporary_ = target;
  temporary_ += "." + std::to_string(::getpid()) + ".tmp";
  descriptor_ =
      ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (descriptor_ < 0 && errno == EEXIST && ::unlink(temporary_.c_str()) == 0) {
    // Left by a killed process that had this number.
    descriptor_ =
        ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  }
  if (descriptor_ < 0) fail_errno("create", temporary_);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : target_(std::move(other.target_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno("write", target_);
    bytes = bytes.subspan(static_cast<size_t>(written));
    size_ += static_cast<uint64_t>(written);
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

void AtomicFile::write_at(uint64_t offset, std::span<const uint8_t> bytes) {
  if (offset > size_ || bytes.size() > size_ - offset) {
    fail(ErrorCode::kInternal, "cannot overwrite {} bytes at {} of '{}': {} are written",
         bytes.size(), offset, target_.string(), size_);
  }
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno("write", target_);
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_errno("flush", target_);
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0 || ::rename(temporary_.c_str(), target_.c_str()) != 0) {
    const int number = errno;
    ::unlink(temporary_.c_str());
    errno = number;
    fail_errno("write", target_);
  }
  sync_directory(target_.parent_path());
}

std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes) {
  const MappedFile file(path);
  if (file.bytes().size() > max_bytes) {
    fail(ErrorCode::kBadInput, "'{}' has {} bytes, more than the {} allowed for such a file",
         path.string(), file.bytes().size(), max_bytes);
  }
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

void write_text_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void make_directories(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    fail(ErrorCode::kIo, "cannot create directory '{}': {}", path.string(), error.message());
  }
}

void sync_directory(const std::filesystem::path& path) {
  const std::filesystem::path directory = path.empty() ? std::filesystem::path(".") : path;
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail_errno("open directory", directory);
  const int status = ::fsync(descriptor);
  close_keeping_errno(descriptor);
  // Some file systems cannot flush a directory and say EINVAL; the rename itself has happened.
  if (status != 0 && errno != EINVAL) fail_errno("flush directory", directory);
}

}  // namespace tercet
