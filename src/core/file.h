// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace tercet {

// A file mapped read-only; the bytes live as long as the object. Move-only.
class MappedFile {
 public:
  // Throws kIo when the file is missing, unreadable or not a regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  // Gives the pages of `part`, a part of bytes(), and some around it back to the system: they stop
  // counting as memory of this process and come from the file again when they are next read.
  void release(std::span<const uint8_t> part) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Writes a file under a temporary name beside its target; commit() flushes it to the disk and
// renames it, so that a reader never sees half a file. Without commit() nothing remains. Move-only.
class AtomicFile {
 public:
  // Throws kIo when the directory is missing or not writable.
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  // Appends; throws kIo naming the file when the disk is full.
  void write(std::span<const uint8_t> bytes);
  void write(std::string_view text);
  // Overwrites `bytes` at `offset`; throws kInternal unless they lie inside what was written.
  void write_at(uint64_t offset, std::span<const uint8_t> bytes);
  uint64_t size() const { return size_; }
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

// The whole file as text. Throws kIo when it cannot be read, kBadInput when it is larger than
// `max_bytes`.
std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes);

// Atomic replacement of `path` by `text`.
void write_text_file(const std::filesystem::path& path, std::string_view text);

// Creates `path` and its parents. Throws kIo with the reason.
void make_directories(const std::filesystem::path& path);

// Flushes a directory entry (a rename) to the disk.
void sync_directory(const std::filesystem::path& path);

}  // namespace tercet
