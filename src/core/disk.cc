// SPDX-License-Identifier: Apache-2.0
#include "core/disk.h"

#include <sys/stat.h>

#include <cerrno>
#include <optional>
#include <system_error>

#include "core/error.h"

namespace tercet {
namespace {

namespace fs = std::filesystem;

std::optional<dev_t> device_of(const fs::path& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return info.st_dev;
}

fs::path nearest_existing(const fs::path& path) {
  std::error_code ignored;
  fs::path place = fs::weakly_canonical(fs::absolute(path, ignored), ignored);
  while (!device_of(place) && place != place.parent_path()) place = place.parent_path();
  return place;
}

}  // namespace

Disk disk_of(const fs::path& path) {
  fs::path place = nearest_existing(path);
  std::error_code error;
  const fs::space_info space = fs::space(place, error);
  if (error) {
    fail(ErrorCode::kIo, "cannot see the disk of '{}': {}", path.string(), error.message());
  }
  const std::optional<dev_t> device = device_of(place);
  while (place != place.parent_path() && device_of(place.parent_path()) == device) {
    place = place.parent_path();
  }
  return {place, space.available};
}

std::string write_error_text(int error_number, const fs::path& file) {
  std::string text = errno_text(error_number);
  if (error_number == ENOSPC || error_number == EDQUOT) {
    const Disk disk = disk_of(file);
    text += fmt::format(" on the disk at '{}' ({} bytes are free)", disk.mount_point.string(),
                        disk.free_bytes);
  }
  return text;
}

}  // namespace tercet
