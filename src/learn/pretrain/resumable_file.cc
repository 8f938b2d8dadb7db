// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/resumable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/disk.h"
#include "core/error.h"

namespace tercet::learn {

ResumableFile::ResumableFile(const std::filesystem::path& file, uint64_t length)
    : file_(file), bytes_(length) {
  descriptor_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    fail(ErrorCode::kIo, "cannot open '{}': {}", file.string(), errno_text(errno));
  }
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes_)) != 0 ||
      ::lseek(descriptor_, 0, SEEK_END) < 0) {
    const int number = errno;
    ::close(descriptor_);
    fail(ErrorCode::kIo, "cannot cut '{}': {}", file.string(), errno_text(number));
  }
}

ResumableFile::~ResumableFile() { ::close(descriptor_); }

void ResumableFile::append(std::string_view bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int number = errno;
      fail(ErrorCode::kIo, "cannot write '{}': {}", file_.string(),
           write_error_text(number, file_));
    }
    done += static_cast<size_t>(written);
  }
  bytes_ += bytes.size();
}

void ResumableFile::flush() {
  if (::fsync(descriptor_) != 0) {
    const int number = errno;
    fail(ErrorCode::kIo, "cannot flush '{}': {}", file_.string(), write_error_text(number, file_));
  }
}

}  // namespace tercet::learn
