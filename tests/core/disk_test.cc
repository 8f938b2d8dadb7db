// SPDX-License-Identifier: Apache-2.0
#include "core/disk.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "core/error.h"

namespace tercet {
namespace {

TEST(Disk, IsThatOfTheNearestExistingParent) {
  EXPECT_EQ(disk_of("/proc/self/status").mount_point, "/proc");
  EXPECT_EQ(disk_of("/proc").mount_point, "/proc");
  const Disk here = disk_of(std::filesystem::temp_directory_path());
  EXPECT_GT(here.free_bytes, 0u);
  EXPECT_EQ(disk_of(std::filesystem::temp_directory_path() / "none" / "of" / "these").mount_point,
            here.mount_point);
  EXPECT_EQ(disk_of("not-there").mount_point, disk_of(".").mount_point);
}

TEST(Disk, FullOnesAreNamed) {
  EXPECT_NE(write_error_text(ENOSPC, "/proc/none/file")
                .find("No space left on device on the disk "
                      "at '/proc' ("),
            std::string::npos);
  EXPECT_EQ(write_error_text(EACCES, "/proc/none/file"), errno_text(EACCES));
}

}  // namespace
}  // namespace tercet
