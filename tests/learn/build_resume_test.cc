// SPDX-License-Identifier: Apache-2.0
// Builds of data sets that are stopped, killed or run out of disk, and go on.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>

#include "formats/json.h"
#include "learn/data/build.h"
#include "learn/data/build_journal.h"
#include "learn/data/directory_lock.h"
#include "learn/with_tokenizer.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::read_bytes;
using testing::some_text;
using testing::write_bytes;

class BuildResume : public testing::WithTokenizer {
 protected:
  BuildResume() {
    options_.inputs = {directory_.file("corpus")};
    options_.tokenizer = tokenizer();
    options_.out = directory_.file("out");
    options_.validation_fraction = 0.1;
    options_.shard_tokens = 50'000;
    options_.save_bytes = 100'000;
    std::filesystem::create_directories(directory_.file("corpus"));
    // Files of many pieces and of one, documents that go on from batch to batch.
    write_bytes(directory_.file("corpus/a.txt"), some_text(3'000'000, 1));
    std::string lines;
    for (uint64_t i = 0; i < 3000; ++i) {
      lines += Json({{"text", some_text(800 + 7 * (i % 50), i)}}).dump() + "\n";
    }
    write_bytes(directory_.file("corpus/b.jsonl"), lines);
    write_bytes(directory_.file("corpus/c.txt"), some_text(700'000, 2));
  }
  using Files = std::map<std::string, std::string>;
  static Files files(const std::filesystem::path& directory) {
    Files found;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      found[entry.path().filename().string()] = read_bytes(entry.path());
    }
    return found;
  }
  Files whole_build() const {
    BuildOptions options = options_;
    options.out = directory_.file("reference");
    build_dataset(options, {}, nullptr);
    return files(options.out);
  }
  // Stops after so many reports of progress; false when it was finished by then.
  bool build_until(int reports) const {
    std::atomic<bool> stop = false;
    try {
      build_dataset(
          options_,
          [&](const BuildProgress& p) {
            if (!p.reading_over) stop = --reports <= 0;
          },
          &stop);
      return true;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInterrupted) << error.what();
      return false;
    }
  }
  // The same in a process that is killed there.
  void build_and_kill(int reports) const {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        build_dataset(
            options_,
            [&](const BuildProgress& p) {
              if (!p.reading_over && --reports <= 0) ::kill(::getpid(), SIGKILL);
            },
            nullptr);
      } catch (...) {
      }
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  BuildOptions options_;
};

TEST_F(BuildResume, StoppedBuildsGoOnToTheSameBytes) {
  const Files expected = whole_build();
  EXPECT_GT(expected.size(), 20u);
  int stops = 0;
  while (!build_until(1 + stops % 2)) {
    ++stops;
    EXPECT_FALSE(std::filesystem::exists(options_.out / kManifestName));
    ASSERT_LT(stops, 100);
  }
  EXPECT_GE(stops, 3);
  EXPECT_EQ(files(options_.out), expected);
}

TEST_F(BuildResume, KilledBuildsGoOnToTheSameBytes) {
  const Files expected = whole_build();
  for (const int reports : {1, 2, 2}) build_and_kill(reports);
  const BuildStats stats = build_dataset(options_, {}, nullptr);
  EXPECT_GT(stats.resumed_tokens, 3 * options_.shard_tokens);
  EXPECT_EQ(files(options_.out), expected);
}

// A single document is cut into both splits, also when the build was stopped before or after.
TEST_F(BuildResume, TheCutOfASingleDocumentStays) {
  std::filesystem::remove(directory_.file("corpus/b.jsonl"));
  std::filesystem::remove(directory_.file("corpus/c.txt"));
  options_.validation_fraction = 0.4;
  const Files expected = whole_build();
  int stops = 0;
  while (!build_until(1)) ASSERT_LT(++stops, 100);
  EXPECT_GE(stops, 2);
  EXPECT_EQ(files(options_.out), expected);
}

TEST_F(BuildResume, AFullDiskKeepsWhatWasWritten) {
  const Files expected = whole_build();
  rlimit old = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {80'000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(build_dataset(options_, {}, nullptr), Error);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, handler);
  build_dataset(options_, {}, nullptr);
  EXPECT_EQ(files(options_.out), expected);
}

TEST_F(BuildResume, AnotherBuildIsRefusedByWhatDiffers) {
  build_until(3);
  const BuildOptions good = options_;
  const auto refused = [&](const char* text) {
    expect_error(ErrorCode::kUsage, text, [&] { build_dataset(options_, {}, nullptr); });
    options_ = good;
  };
  options_.seed = 3;
  refused("--seed");
  options_.validation_fraction = 0.2;
  refused("--validation-fraction");
  options_.shard_tokens = 40'000;
  refused("--shard-tokens");
  options_.corpus.text_field = "body";
  options_.inputs = {directory_.file("corpus/a.txt")};
  refused("--text-field");
  options_.inputs = {directory_.file("corpus/a.txt")};
  refused("other texts");
  write_bytes(directory_.file("corpus/c.txt"), some_text(700'001, 2));
  refused("texts that have changed");
  options_.overwrite = true;
  EXPECT_EQ(build_dataset(options_, {}, nullptr).resumed_tokens, 0u);
  options_.overwrite = false;
  EXPECT_EQ(files(options_.out), whole_build());
}

TEST_F(BuildResume, DamageBetweenTheProcessesIsNamed) {
  build_until(4);
  const auto refused = [&](const std::string& file, const std::string& bytes) {
    const std::string good = read_bytes(options_.out / file);
    write_bytes(options_.out / file, bytes);
    expect_error(ErrorCode::kBadInput, file, [&] { build_dataset(options_, {}, nullptr); });
    write_bytes(options_.out / file, good);
  };
  const std::string shard = read_bytes(options_.out / "train-00000.bin");
  refused("train-00000.bin", shard.substr(0, shard.size() - 1));
  std::string partial;
  for (const auto& [name, bytes] : files(options_.out)) {
    if (name.starts_with("train") && name.ends_with(".partial")) partial = name;
  }
  ASSERT_FALSE(partial.empty());
  std::string bytes = read_bytes(options_.out / partial);
  bytes[64] = static_cast<char>(bytes[64] ^ 1);
  refused(partial, bytes);
  refused(partial, "");
  refused(kJournalName, "{}");
  refused(kJournalName, R"({"format": "tercet-unfinished-dataset", "version": 1})");
  build_dataset(options_, {}, nullptr);
  EXPECT_EQ(files(options_.out), whole_build());
}

TEST_F(BuildResume, TwoProcessesDoNotWriteToOneDirectory) {
  std::filesystem::create_directories(options_.out);
  const DirectoryLock lock(options_.out);
  expect_error(ErrorCode::kUsage, "another process", [&] { build_dataset(options_, {}, nullptr); });
}

}  // namespace
}  // namespace tercet
