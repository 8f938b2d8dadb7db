// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

#include "formats/json.h"

namespace tercet::learn {

// OUT/log.jsonl: one JSON object per line, flushed line by line. Fields: docs/training.md.
class TrainingLog {
 public:
  // Opens for appending after cutting the file to `keep_bytes`: a resumed run repeats the steps
  // after its checkpoint, and their old lines go. A file that is shorter (lost by a crash of the
  // machine, or removed) goes on from its last whole line. Throws kIo.
  TrainingLog(const std::filesystem::path& file, uint64_t keep_bytes);
  ~TrainingLog();
  TrainingLog(const TrainingLog&) = delete;
  TrainingLog& operator=(const TrainingLog&) = delete;

  void write(const Json& line);
  uint64_t bytes() const { return bytes_; }
  // To the disk: what bytes() says survives a crash of the machine.
  void flush();

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
  uint64_t bytes_ = 0;
};

}  // namespace tercet::learn
