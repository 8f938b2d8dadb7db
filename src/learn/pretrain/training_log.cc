// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/training_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/error.h"

namespace tercet::learn {

TrainingLog::TrainingLog(const std::filesystem::path& file, uint64_t keep_bytes)
    : file_(file), bytes_(keep_bytes) {
  descriptor_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    fail(ErrorCode::kIo, "cannot open '{}': {}", file.string(), errno_text(errno));
  }
  const off_t size = ::lseek(descriptor_, 0, SEEK_END);
  if (size < 0 || static_cast<uint64_t>(size) < keep_bytes) {
    fail(ErrorCode::kBadInput, "'{}' is shorter than when the checkpoint was made; put it back",
         file.string());
  }
  if (::ftruncate(descriptor_, static_cast<off_t>(keep_bytes)) != 0 ||
      ::lseek(descriptor_, 0, SEEK_END) < 0) {
    fail(ErrorCode::kIo, "cannot cut '{}': {}", file.string(), errno_text(errno));
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
