// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "learn/pretrain/resumable_file.h"

namespace tercet::learn {

// Curves for TensorBoard: records of Event messages (length, masked CRC-32C of the length, message,
// masked CRC-32C of the message; all little-endian).
class EventFile {
 public:
  // Opens for appending after cutting the file to `keep_bytes`, or to the whole records among them.
  // Throws kIo.
  EventFile(const std::filesystem::path& file, uint64_t keep_bytes);

  // One point of several curves. Values that are not finite are kept as they are.
  void add(int64_t step, std::initializer_list<std::pair<std::string_view, double>> values);
  uint64_t bytes() const { return file_.bytes(); }
  void flush() { file_.flush(); }

 private:
  void write_record(const std::string& message);

  ResumableFile file_;
};

}  // namespace tercet::learn
