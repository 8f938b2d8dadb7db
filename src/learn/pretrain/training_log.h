// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

#include "formats/json.h"
#include "learn/pretrain/resumable_file.h"

namespace tercet::learn {

// OUT/log.jsonl: one JSON object per line. Fields: docs/training.md.
class TrainingLog {
 public:
  // Opens for appending after cutting the file to `keep_bytes`: a resumed run repeats the steps
  // after its checkpoint, and their old lines go. A file that is shorter (lost by a crash of the
  // machine, or removed) goes on from its last whole line. Throws kIo.
  TrainingLog(const std::filesystem::path& file, uint64_t keep_bytes);

  void write(const Json& line);
  uint64_t bytes() const { return file_.bytes(); }
  void flush() { file_.flush(); }

 private:
  ResumableFile file_;
};

}  // namespace tercet::learn
