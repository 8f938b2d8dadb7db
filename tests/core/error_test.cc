// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "core/cpu.h"

namespace tercet {
namespace {

TEST(Error, ExitCodesAreTheContract) {
  EXPECT_EQ(exit_code(ErrorCode::kUsage), 2);
  EXPECT_EQ(exit_code(ErrorCode::kBadInput), 3);
  EXPECT_EQ(exit_code(ErrorCode::kUnsupported), 3);
  EXPECT_EQ(exit_code(ErrorCode::kIo), 4);
  EXPECT_EQ(exit_code(ErrorCode::kInternal), 5);
  EXPECT_EQ(exit_code(ErrorCode::kInterrupted), 130);
}

TEST(Error, FailFormatsAndKeepsTheCode) {
  try {
    fail(ErrorCode::kBadInput, "'{}' has {} rows", "a{}b", 3);
    FAIL() << "fail() came back";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_STREQ(error.what(), "'a{}b' has 3 rows");
  }
}

TEST(Error, NamesErrnoAsTheSystemDoes) {
  EXPECT_EQ(errno_text(ENOENT), "No such file or directory");
  EXPECT_EQ(errno_text(ENOSPC), "No space left on device");
}

TEST(CpuInfo, IsPlausible) {
  const CpuInfo cpu = read_cpu_info();
  EXPECT_FALSE(cpu.model.empty());
  EXPECT_GE(cpu.logical_cores, 1);
  EXPECT_GE(cpu.physical_cores, 1);
  EXPECT_LE(cpu.physical_cores, cpu.logical_cores);
  EXPECT_GT(cpu.memory_bytes, uint64_t{64} << 20);
  EXPECT_FALSE(cpu.has("no_such_feature"));
  EXPECT_GT(peak_rss_bytes(), uint64_t{1} << 20);
  EXPECT_LT(peak_rss_bytes(), cpu.memory_bytes);
}

}  // namespace
}  // namespace tercet
