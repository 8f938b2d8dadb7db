// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace tercet {

// A file that is written under the name TARGET.partial, which outlives the process, and gets its
// own name when it is whole. Move-only. All throw kIo naming the file.
class PartialFile {
 public:
  // Begins with nothing, or goes on after the first `keep` bytes of what an earlier process wrote;
  // that may have got its own name since. Throws kBadInput when there are fewer.
  explicit PartialFile(const std::filesystem::path& target, uint64_t keep = 0);
  ~PartialFile();
  PartialFile(PartialFile&& other) noexcept;
  PartialFile& operator=(PartialFile&&) = delete;
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  static std::filesystem::path partial_name(const std::filesystem::path& target);

  const std::filesystem::path& path() const { return partial_; }
  void write(std::span<const uint8_t> bytes);  // appends
  // To the disk: what has been written survives a crash of the machine.
  void flush();
  // Puts `bytes` at the start, over as many that were written there, flushes and renames.
  void commit(std::span<const uint8_t> start);

 private:
  void write_at(uint64_t offset, std::span<const uint8_t> bytes);

  std::filesystem::path target_;
  std::filesystem::path partial_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace tercet
