// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/training_log.h"

#include <algorithm>
#include <system_error>

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
    : file_(file, whole_lines(file, keep_bytes)) {}

void TrainingLog::write(const Json& line) {
  // Samples of text may hold half a character; the log stays valid UTF-8.
  file_.append(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace tercet::learn
