// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace tercet {

// A file system, by what people know it.
struct Disk {
  std::filesystem::path mount_point;
  uint64_t free_bytes = 0;  // for this user
};

// The one that holds `path`, or while that does not exist the nearest of its parents that does.
// Throws kIo when it cannot be asked.
Disk disk_of(const std::filesystem::path& path);

// What a failed write to `file` says: the system's text for `error_number`, and which disk is full
// if that is the reason.
std::string write_error_text(int error_number, const std::filesystem::path& file);

}  // namespace tercet
