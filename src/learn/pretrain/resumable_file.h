// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace tercet::learn {

// A file that a run appends to and that a resumed run goes on with from its checkpoint: what was
// written after that is cut off. Throws kIo naming the file.
class ResumableFile {
 public:
  // Opens or creates it, `length` bytes long: no more than it has.
  ResumableFile(const std::filesystem::path& file, uint64_t length);
  ~ResumableFile();
  ResumableFile(const ResumableFile&) = delete;
  ResumableFile& operator=(const ResumableFile&) = delete;

  void append(std::string_view bytes);
  uint64_t bytes() const { return bytes_; }
  // To the disk: what bytes() says survives a crash of the machine.
  void flush();

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
  uint64_t bytes_ = 0;
};

}  // namespace tercet::learn
