// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace tercet {

// The bytes of a file, front to back, unpacked on the way when its name ends in .gz or .zst.
// Memory use does not depend on the file's size.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills `out` from its start and returns how many bytes it got; 0 only at the end of the text.
  // Throws kIo when the file cannot be read, kBadInput naming it when the packing is damaged or
  // cut.
  virtual size_t read(std::span<char> out) = 0;
  // Bytes taken from the file so far, as stored; for progress.
  virtual uint64_t stored_bytes_read() const = 0;
};

// Throws kIo when `path` is missing, unreadable or not a regular file.
std::unique_ptr<ByteSource> open_byte_source(const std::filesystem::path& path);

// `path` without a final .gz or .zst: the name whose extension says what the text is.
std::filesystem::path unpacked_name(const std::filesystem::path& path);

}  // namespace tercet
