// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace tercet {

// A file that is read in small parts here and there, by several threads at once. Other than with
// MappedFile, a disk that fails is an error with the file's name, not a signal that ends the
// process, and the system fetches nothing around the parts that are asked for. Move-only.
class RandomAccessFile {
 public:
  // Throws kIo when the file is missing, unreadable or not a regular file.
  explicit RandomAccessFile(const std::filesystem::path& path);
  ~RandomAccessFile();
  RandomAccessFile(RandomAccessFile&& other) noexcept;
  RandomAccessFile& operator=(RandomAccessFile&& other) noexcept;
  RandomAccessFile(const RandomAccessFile&) = delete;
  RandomAccessFile& operator=(const RandomAccessFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Both as they were when the file was opened.
  uint64_t size() const { return size_; }
  int64_t modified_ns() const { return modified_ns_; }  // since 1970

  // Fills `out` with the bytes from `offset` on. Throws kIo when the system cannot read them,
  // kBadInput when the file has been cut or written to since it was opened.
  void read_at(uint64_t offset, std::span<uint8_t> out) const;
  // Lets the system begin to fetch bytes that will be read soon; returns at once.
  void will_need(uint64_t offset, uint64_t bytes) const;

 private:
  void check_unchanged() const;

  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  int64_t modified_ns_ = 0;
};

}  // namespace tercet
