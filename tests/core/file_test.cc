// SPDX-License-Identifier: Apache-2.0
#include "core/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <vector>

#include "core/error.h"
#include "temporary_directory.h"

namespace tercet {
namespace {

namespace fs = std::filesystem;

class FileTest : public ::testing::Test {
 protected:
  fs::path path(const char* name) const { return directory_ / name; }

  size_t entries() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(directory_.path()), fs::directory_iterator()));
  }

 private:
  testing::TemporaryDirectory directory_;
};

void expect_error(ErrorCode code, const std::string& part, const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "no error, expected one with '" << part << "'";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

// Lets no file grow beyond `bytes`, as a full disk would, while it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    previous_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &previous_);
    rlimit limit = previous_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &previous_);
    std::signal(SIGXFSZ, previous_handler_);
  }

 private:
  rlimit previous_ = {};
  void (*previous_handler_)(int) = nullptr;
};

TEST_F(FileTest, TheTargetAppearsAtCommitOnly) {
  AtomicFile file(path("a"));
  file.write("half ");
  EXPECT_FALSE(fs::exists(path("a")));
  file.write("and half");
  EXPECT_EQ(file.size(), 13u);
  file.commit();
  EXPECT_EQ(read_text_file(path("a"), 100), "half and half");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, WithoutCommitNothingRemains) {
  write_text_file(path("a"), "old");
  {
    AtomicFile file(path("a"));
    file.write("new");
    EXPECT_EQ(read_text_file(path("a"), 100), "old");
  }
  EXPECT_EQ(read_text_file(path("a"), 100), "old");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, AFullDiskIsAnErrorAndKeepsTheTarget) {
  write_text_file(path("a"), "old");
  {
    const FileSizeLimit limit(4096);
    expect_error(ErrorCode::kIo, path("a").string(),
                 [&] { write_text_file(path("a"), std::string(100000, 'x')); });
  }
  EXPECT_EQ(read_text_file(path("a"), 100), "old");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, ALeftoverOfAKilledRunIsReplaced) {
  const std::string leftover = "a." + std::to_string(::getpid()) + ".tmp";
  write_text_file(path(leftover.c_str()), "much longer rest of a run that was killed");
  write_text_file(path("a"), "new");
  EXPECT_EQ(read_text_file(path("a"), 100), "new");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, FilesOfOthersAreLeftAlone) {
  write_text_file(path("a.tmp"), "mine");
  write_text_file(path("a"), "new");
  EXPECT_EQ(read_text_file(path("a.tmp"), 100), "mine");
  EXPECT_EQ(entries(), 2u);
}

TEST_F(FileTest, WriteAtOverwritesInsideOnly) {
  AtomicFile file(path("a"));
  file.write("0123456789");
  const std::vector<uint8_t> two = {'x', 'y'};
  file.write_at(0, two);
  file.write_at(8, two);
  expect_error(ErrorCode::kInternal, path("a").string(), [&] { file.write_at(9, two); });
  expect_error(ErrorCode::kInternal, "10", [&] { file.write_at(~uint64_t{0}, two); });
  file.write("end");
  file.commit();
  EXPECT_EQ(read_text_file(path("a"), 100), "xy234567xyend");
}

TEST_F(FileTest, AMovedFileStillCommits) {
  AtomicFile first(path("a"));
  first.write("text");
  {
    AtomicFile second(std::move(first));
    second.commit();
  }
  EXPECT_EQ(read_text_file(path("a"), 100), "text");
}

TEST_F(FileTest, AtomicFileNeedsADirectory) {
  expect_error(ErrorCode::kIo, "missing", [&] { AtomicFile file(path("missing") / "a"); });
  fs::create_directory(path("d"));
  expect_error(ErrorCode::kIo, path("d").string(), [&] { write_text_file(path("d"), "text"); });
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, MapsBytes) {
  write_text_file(path("a"), std::string("a\0b", 3));
  MappedFile first(path("a"));
  const MappedFile second(std::move(first));
  ASSERT_EQ(second.bytes().size(), 3u);
  EXPECT_EQ(second.bytes()[2], 'b');
  EXPECT_EQ(second.path(), path("a"));
}

TEST_F(FileTest, AnEmptyFileMapsToNoBytes) {
  write_text_file(path("a"), "");
  EXPECT_TRUE(MappedFile(path("a")).bytes().empty());
  EXPECT_EQ(read_text_file(path("a"), 0), "");
}

TEST_F(FileTest, WhatIsNoRegularFileIsRefused) {
  expect_error(ErrorCode::kIo, "No such file", [&] { MappedFile file(path("missing")); });
  fs::create_directory(path("d"));
  expect_error(ErrorCode::kIo, "a directory", [&] { MappedFile file(path("d")); });
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  expect_error(ErrorCode::kIo, "not a regular file", [&] { MappedFile file(path("pipe")); });
}

TEST_F(FileTest, TextFilesHaveALimit) {
  write_text_file(path("a"), "12345");
  EXPECT_EQ(read_text_file(path("a"), 5), "12345");
  expect_error(ErrorCode::kBadInput, "5 bytes", [&] { read_text_file(path("a"), 4); });
}

TEST_F(FileTest, MakesDirectories) {
  make_directories(path("x") / "y" / "z");
  make_directories(path("x") / "y" / "z");
  EXPECT_TRUE(fs::is_directory(path("x") / "y" / "z"));
  write_text_file(path("a"), "text");
  expect_error(ErrorCode::kIo, path("a").string(), [&] { make_directories(path("a") / "b"); });
}

}  // namespace
}  // namespace tercet
