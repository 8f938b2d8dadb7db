// SPDX-License-Identifier: Apache-2.0
#include "core/random_access_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "temporary_directory.h"

namespace tercet {
namespace {

namespace fs = std::filesystem;

class RandomAccess : public ::testing::Test {
 protected:
  RandomAccess() {
    for (int i = 0; i < 10'000; ++i) bytes_.push_back(static_cast<char>(i * 7 % 251));
    std::ofstream(path(), std::ios::binary) << bytes_;
    make_old();
  }

  // So that a write now is a change at any resolution of the clock.
  void make_old() const {
    const timespec then[2] = {{1'600'000'000, 5}, {1'600'000'000, 5}};
    EXPECT_EQ(::utimensat(AT_FDCWD, path().c_str(), then, 0), 0);
  }

  fs::path path() const { return directory_ / "data.bin"; }
  static void expect_error(ErrorCode code, const std::string& part,
                           const std::function<void()>& action) {
    try {
      action();
      ADD_FAILURE() << "no error that says '" << part << "'";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }

  testing::TemporaryDirectory directory_;
  std::string bytes_;
};

TEST_F(RandomAccess, ReadsAnyPart) {
  RandomAccessFile opened(path());
  const RandomAccessFile file = std::move(opened);
  EXPECT_EQ(file.size(), bytes_.size());
  EXPECT_EQ(file.modified_ns(), 1'600'000'000'000'000'005);
  for (const auto& [offset, count] : {std::pair<size_t, size_t>{0, 10'000},
                                      {0, 1},
                                      {9'999, 1},
                                      {4'095, 3},
                                      {1, 8'192},
                                      {10'000, 0}}) {
    file.will_need(offset, count);
    std::vector<uint8_t> out(count);
    file.read_at(offset, out);
    EXPECT_TRUE(std::equal(out.begin(), out.end(), bytes_.begin() + static_cast<long>(offset),
                           [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); }));
  }
  std::vector<uint8_t> out(2);
  expect_error(ErrorCode::kBadInput, "data.bin", [&] { file.read_at(9'999, out); });
}

TEST_F(RandomAccess, NamesWhatCannotBeOpened) {
  expect_error(ErrorCode::kIo, "nowhere", [&] { RandomAccessFile(directory_ / "nowhere"); });
  expect_error(ErrorCode::kIo, "a directory", [&] { RandomAccessFile file(directory_.path()); });
  ASSERT_EQ(::mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  expect_error(ErrorCode::kIo, "regular", [&] { RandomAccessFile(directory_ / "pipe"); });
}

TEST_F(RandomAccess, NoticesFilesThatAreCutOrWrittenTo) {
  std::vector<uint8_t> out(100);
  const RandomAccessFile file(path());
  ASSERT_EQ(::truncate(path().c_str(), 5'000), 0);
  expect_error(ErrorCode::kBadInput, "has been cut", [&] { file.read_at(4'950, out); });
  expect_error(ErrorCode::kBadInput, "written to", [&] { file.read_at(0, out); });
  make_old();
  const RandomAccessFile second(path());
  std::fstream(path(), std::ios::in | std::ios::out | std::ios::binary) << 'x';
  expect_error(ErrorCode::kBadInput, "written to", [&] { second.read_at(1'000, out); });
  // Another file under the same name is not what was opened.
  const RandomAccessFile third(path());
  fs::rename(path(), directory_ / "moved.bin");
  std::ofstream(path()) << "other";
  third.read_at(1'000, out);
  EXPECT_EQ(out[0], static_cast<uint8_t>(bytes_[1'000]));
}

// Memory that is not mapped is the one thing that every system fails to read.
TEST_F(RandomAccess, ADiskErrorIsAnErrorAndNamesTheFile) {
  const RandomAccessFile file("/proc/self/mem");
  std::vector<uint8_t> out(16);
  expect_error(ErrorCode::kIo, "'/proc/self/mem': Input/output error",
               [&] { file.read_at(0, out); });
}

}  // namespace
}  // namespace tercet
