// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/training_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "core/error.h"
#include "core/file.h"

namespace tercet::learn {

namespace {

// Length of the whole lines among the first `limit` bytes.
uint64_t whole_lines(const std::filesystem::path& file, uint64_t limit) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return 0;
  const MappedFile mapped(file);
  uint64_t length = std::min<uint64_t>(limit, mapped.bytes().size());
  while (length > 0 && mapped.bytes()[length - 1] != '\n') --length;
  return length;
}

}  // namespace

TrainingLog::TrainingLog(const std::filesystem::path& file, uint64_t keep_bytes)
    : file_(file), bytes_(whole_lines(file, keep_bytes)) {
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

void TrainingLog::flush() {
  if (::fsync(descriptor_) != 0) {
    fail(ErrorCode::kIo, "cannot flush '{}': {}", file_.string(), errno_text(errno));
  }
}

TrainingLog::~TrainingLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void TrainingLog::write(const Json& line) {
  // Samples of text may hold half a character; the log stays valid UTF-8.
  const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = ::write(descriptor_, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      fail(ErrorCode::kIo, "cannot write '{}': {}", file_.string(), errno_text(errno));
    }
    done += static_cast<size_t>(written);
  }
  bytes_ += text.size();
}

}  // namespace tercet::learn
