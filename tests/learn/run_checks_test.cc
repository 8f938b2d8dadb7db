// SPDX-License-Identifier: Apache-2.0
// What is refused before work is lost.
#include "learn/pretrain/run_checks.h"

#include <unistd.h>

#include <tuple>
#include <vector>

#include "core/disk.h"
#include "learn/pretrain/presets.h"
#include "learn/pretrain/run_lock.h"
#include "learn/trainer_support.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;
using tercet::testing::expect_error;
using tercet::testing::read_bytes;
using tercet::testing::write_bytes;
using testing::Training;

TEST_F(Training, ADirectoryBelongsToOneProcess) {
  train_until(recipe(), "run", 5);
  const std::string pid = fmt::format("process {} on ", ::getpid());
  {
    const RunLock lock(out("run"));
    expect_error(ErrorCode::kUsage, pid, [&] { resume("run"); });
    expect_error(ErrorCode::kUsage, pid, [&] { train(recipe(), "run"); });
    expect_error(ErrorCode::kUsage, pid, [&] { const RunLock second(out("run")); });
  }
  resume("run");
}

TEST_F(Training, CheckpointsOfAnotherRunAreNamed) {
  train_until(recipe(), "one", 5);
  Recipe other = recipe();
  other.hidden_size = 24;
  train_until(other, "other", 7);
  fs::copy(checkpoint("other", 7), checkpoint("one", 7));
  expect_error(ErrorCode::kBadInput, "step-00000007' is of another run: its hidden_size is 24",
               [&] { resume("one"); });
  fs::remove_all(checkpoint("one", 7));
  resume("one");
}

TEST_F(Training, CheckpointsChangedByHandAreNamed) {
  train_until(recipe(), "run", 5);
  const fs::path config = checkpoint("run", 5) / "config.json";
  const fs::path state_file = checkpoint("run", 5) / "state.json";
  const std::string config_text = read_bytes(config), state_text = read_bytes(state_file);
  Json edited = Json::parse(config_text);
  edited["num_hidden_layers"] = 3;
  write_bytes(config, edited.dump(2));
  expect_error(ErrorCode::kBadInput, "config.json' is damaged or was changed",
               [&] { resume("run"); });
  write_bytes(config, config_text);
  edited = Json::parse(state_text);
  edited["recipe"]["learning_rate"] = 0.5;
  write_bytes(state_file, edited.dump(2));
  expect_error(ErrorCode::kBadInput, "state.json' is damaged or was changed",
               [&] { resume("run"); });
  // With the checksum made to fit, too.
  write_bytes(state_file, state_text);
  change_state(checkpoint("run", 5), [](Json& json) { json["recipe"]["learning_rate"] = 0.5; });
  expect_error(ErrorCode::kBadInput, "its learning_rate is 0.5", [&] { resume("run"); });
  write_bytes(state_file, state_text);
  resume("run");
}

TEST(RunChecks, DiskSpaceCountsWhatIsKeptAtOneTime) {
  Recipe r;
  r.steps = 1000;
  r.checkpoint_every = 100;
  r.keep_checkpoints = 2;
  r.eval_every = 50;
  // Two, the best and a new one of twelve and a quarter bytes a parameter, and the model.
  EXPECT_EQ(disk_bytes(r, 1000, 0), 4u * 12'250 + 4'000);
  EXPECT_EQ(disk_bytes(r, 1000, 3), 12'250u + 4'000);
  EXPECT_EQ(disk_bytes(r, 1000, 9), 12'250u + 4'000);
  // Every evaluation may be the best one so far.
  r.keep_checkpoints = 1'000'000;
  EXPECT_EQ(disk_bytes(r, 1000, 0), 31u * 12'250 + 4'000);
  r.checkpoint_every = 0;
  EXPECT_EQ(disk_bytes(r, 1000, 0), 12'250u + 4'000);
}

// As measured on two cores: `peak_rss_bytes` of the presets, vocabulary 4096, 2048 tokens at once.
TEST(RunChecks, MemoryIsEstimated) {
  const std::vector<std::tuple<const char*, int64_t, double>> measured = {
      {"8m", 8, 0.61}, {"30m", 4, 1.55}, {"125m", 1, 4.11}};
  for (const auto& [name, micro_batch_size, gibibytes] : measured) {
    Recipe r = preset_recipe(name, "b1.58");
    r.micro_batch_size = micro_batch_size;
    const Recipe ready = resolved(r);
    const double estimate =
        static_cast<double>(training_memory(ready, model_config(ready, 4096, 1, 2), 1)) / (1 << 30);
    // Below them lie some 0.3 GiB of program and libraries.
    EXPECT_GT(estimate, 0.6 * (gibibytes - 0.3)) << name;
    EXPECT_LT(estimate, 1.2 * gibibytes) << name;
  }
}

TEST_F(Training, ARunThatCannotFitIsNotStarted) {
  Recipe r = recipe();
  r.steps = 1'000'000'000;
  r.checkpoint_every = 1;
  r.keep_checkpoints = 1'000'000;
  r.intermediate_size = 4000;
  const Disk disk = disk_of(out("run"));
  if (disk.free_bytes > disk_bytes(r, 500'000, 0)) GTEST_SKIP() << "this disk holds it";
  expect_error(ErrorCode::kIo, "the disk at '" + disk.mount_point.string() + "'",
               [&] { train(r, "run"); });
  EXPECT_FALSE(fs::exists(out("run") / "log.jsonl"));
}

}  // namespace
}  // namespace tercet::learn
