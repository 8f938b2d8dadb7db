// SPDX-License-Identifier: Apache-2.0
// Which checkpoints stay, and what of them survives.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "learn/pretrain/checkpoint_directory.h"
#include "learn/trainer_support.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;
using testing::Training;

std::set<std::string> names(const fs::path& directory) {
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    found.insert(entry.path().filename().string());
  }
  return found;
}

class Checkpoints : public Training {
 protected:
  // Learns, then loses it: its best weights are not its newest.
  static Recipe worsening() {
    Recipe r = recipe();
    r.steps = 20;
    r.schedule = "constant";
    r.learning_rate = 0.2;
    r.warmup_steps = 0;
    r.spike_deviations = 0;
    r.eval_every = 2;
    return r;
  }
  // The step of the lowest validation loss in the log.
  int64_t best_step(const std::string& name) const {
    const std::vector<Json> all = events(name, "eval");
    const auto lowest = std::min_element(all.begin(), all.end(), [](const Json& a, const Json& b) {
      return a.at("validation_loss") < b.at("validation_loss");
    });
    return lowest->at("step");
  }
};

TEST_F(Checkpoints, TheNewestAndTheBestStay) {
  train(worsening(), "run");
  const int64_t best = best_step("run");
  ASSERT_LT(best, 18) << "the test needs a best step before the last two checkpoints";
  const fs::path folder = out("run") / "checkpoints";
  const std::string best_name = checkpoint_path("", best).filename().string();
  EXPECT_EQ(names(folder),
            (std::set<std::string>{"best", best_name, "step-00000018", "step-00000020"}));
  EXPECT_EQ(fs::read_symlink(folder / "best"), best_name);
  const Json state = this->state(folder / "best");
  EXPECT_EQ(state.at("step"), best);
  EXPECT_EQ(state.at("best_eval"), state.at("last_eval"));
  // The log says at which evaluations it was the best so far.
  double lowest = 1e9;
  for (const Json& event : events("run", "eval")) {
    EXPECT_EQ(event.at("best"), event.at("validation_loss") < lowest);
    lowest = std::min(lowest, event.at("validation_loss").get<double>());
  }
}

TEST_F(Checkpoints, ResumingStartsAtTheNewestAndEndsWithTheSameBest) {
  train(worsening(), "whole");
  const int64_t best = best_step("whole");
  for (const int64_t last : {best, best + 3}) {
    const std::string name = fmt::format("until-{}", last);
    train_until(worsening(), name, last);
    const fs::path link = out(name) / "checkpoints/best";
    EXPECT_EQ(fs::canonical(link), fs::canonical(checkpoint(name, best)));
    // As after a kill between the checkpoint and its link.
    fs::remove(link);
    fs::create_directory_symlink("step-00000001", link);
    int64_t first = -1;
    TrainEvents told;
    told.on_start = [&](const RunInfo& info) {
      first = info.first_step;
      EXPECT_EQ(fs::canonical(link), fs::canonical(checkpoint(name, best)));
    };
    resume(name, told);
    EXPECT_EQ(first, last);
    EXPECT_EQ(weights(name), weights("whole"));
    EXPECT_EQ(names(out(name) / "checkpoints"), names(out("whole") / "checkpoints"));
    EXPECT_EQ(fs::read_symlink(link), fs::read_symlink(out("whole") / "checkpoints/best"));
  }
}

TEST(CheckpointDirectory, RetainsWhatItShould) {
  const tercet::testing::TemporaryDirectory directory;
  const fs::path& out = directory.path();
  const fs::path folder = out / "checkpoints";
  const auto name = [](int64_t step) { return checkpoint_path("", step).filename().string(); };
  for (const int64_t step : {10, 20, 30, 40}) fs::create_directories(checkpoint_path(out, step));
  for (const char* other : {"step-50", "step-00000050-mine", "step-00000060.unfinished"}) {
    fs::create_directories(folder / other);
  }
  const std::set<std::string> others = {"step-50", "step-00000050-mine",
                                        "step-00000060.unfinished"};
  const auto with_others = [&](std::set<std::string> ours) {
    ours.insert(others.begin(), others.end());
    return ours;
  };
  EXPECT_EQ(newest_checkpoint(out), checkpoint_path(out, 40));
  EXPECT_EQ(newest_checkpoint(out, 39), checkpoint_path(out, 30));
  EXPECT_EQ(newest_checkpoint(out, 9), std::nullopt);
  retain_checkpoints(out, 2, 10);
  EXPECT_EQ(names(folder), with_others({"best", name(10), name(30), name(40)}));
  retain_checkpoints(out, 2, 30);
  EXPECT_EQ(names(folder), with_others({"best", name(30), name(40)}));
  EXPECT_EQ(fs::read_symlink(folder / "best"), name(30));
  // The best one is gone: no link to nowhere.
  fs::remove_all(checkpoint_path(out, 30));
  retain_checkpoints(out, 1, 30);
  EXPECT_EQ(names(folder), with_others({name(40)}));
  // What was not finished is removed by who may, and nothing else.
  remove_unfinished(out);
  EXPECT_EQ(names(folder), (std::set<std::string>{"step-50", "step-00000050-mine", name(40)}));
  // A directory of that name is the user's.
  fs::create_directories(folder / "best");
  retain_checkpoints(out, 1, 40);
  EXPECT_TRUE(fs::is_directory(fs::symlink_status(folder / "best")));
}

}  // namespace
}  // namespace tercet::learn
