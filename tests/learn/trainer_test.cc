// SPDX-License-Identifier: Apache-2.0
// What a run records and how it continues.
#include "learn/pretrain/trainer.h"

#include <set>

#include "learn/pretrain/checkpoint_directory.h"
#include "learn/trainer_support.h"
#include "version/version.h"

namespace tercet::learn {
namespace {

using testing::Training;

TEST_F(Training, EveryRecordHoldsTheCodeVersion) {
  train(recipe(), "run");
  const Json start = events("run", "start").at(0);
  const Json summary = read_json_file(out("run") / "training.json");
  for (const Json& record : {start, summary, state(checkpoint("run", 12))}) {
    EXPECT_EQ(record.at("code_version"), version());
    EXPECT_EQ(record.at("data_fingerprint"), start.at("data_fingerprint"));
    EXPECT_EQ(record.at("recipe"), start.at("recipe"));
  }
  EXPECT_TRUE(events("run", "resume").empty());
}

TEST_F(Training, ResumingIsRecordedAndOtherCodeIsTold) {
  train_until(recipe(), "run", 5);
  change_state(checkpoint("run", 5), [](Json& json) { json["code_version"] = "0.0.9+abc"; });
  TrainEvents told;
  RunInfo info;
  told.on_start = [&](const RunInfo& i) { info = i; };
  resume("run", told);
  EXPECT_TRUE(info.resumed);
  EXPECT_EQ(info.checkpoint_version, "0.0.9+abc");
  EXPECT_EQ(info.code_version, version());
  EXPECT_EQ(info.first_step, 5);
  const std::vector<Json> resumed = events("run", "resume");
  ASSERT_EQ(resumed.size(), 1u);
  EXPECT_EQ(resumed[0].at("step"), 5);
  EXPECT_EQ(resumed[0].at("code_version"), version());
  EXPECT_EQ(resumed[0].at("checkpoint_version"), "0.0.9+abc");
  EXPECT_EQ(resumed[0].at("threads"), 1);
  EXPECT_EQ(state(checkpoint("run", 12)).at("code_version"), version());
  EXPECT_EQ(events("run", "start").size(), 1u);
}

// What goes to other things than arithmetic is counted over all parts of a run.
TEST_F(Training, TimeBesideTheArithmeticIsCounted) {
  train_until(recipe(), "run", 5);
  resume("run");
  const Json before = state(checkpoint("run", 9)).at("times");
  const Json after = state(checkpoint("run", 12)).at("times");
  const Json summary = read_json_file(out("run") / "training.json");
  for (const char* name : {"data", "report", "evaluation", "checkpoint"}) {
    EXPECT_GT(before.at(name), 0) << name;
    EXPECT_GT(after.at(name), before.at(name)) << name;
    EXPECT_GE(summary.at(fmt::format("{}_ms", name)).get<double>(),
              1e3 * after.at(name).get<double>() / 12)
        << name;
  }
  EXPECT_LT(summary.at("data_ms"), summary.at("step_ms"));
}

// Stopped while losses are bad: what is saved then may be broken, so nothing before it is removed.
TEST_F(Training, WhatWasGoodIsKeptWhileLossesAreBad) {
  Recipe r = recipe();
  r.steps = 200;
  r.eval_every = 0;
  r.keep_checkpoints = 1;
  r.batch_size = r.micro_batch_size = 1;
  r.learning_rate = 0.1;
  r.spike_deviations = 1e-9;
  train_until(r, "run", [](int64_t step, bool skipped) { return skipped && step % 3 != 0; });
  EXPECT_EQ(count_checkpoints(out("run")), 2);
  // Neither does going on remove it before there is news.
  std::atomic<bool> stop = true;
  EXPECT_THROW(pretrain({}, out("run"), true, {}, &stop), Error);
  EXPECT_EQ(count_checkpoints(out("run")), 2);
}

// At the boundary of the two stages, where the learning rate drops and the weight decay ends, and
// after a step that was skipped, whose gradients are gone.
TEST_F(Training, ResumesToTheSameBitsBetweenStagesAndAfterSkips) {
  Recipe r = recipe();
  r.steps = 58;
  r.eval_every = 16;
  r.checkpoint_every = 16;
  r.batch_size = r.micro_batch_size = 1;
  r.learning_rate = 0.1;
  r.spike_deviations = 1e-9;  // noise is a spike, too
  train(r, "whole");
  const std::vector<Json> skips = events("whole", "skip");
  ASSERT_FALSE(skips.empty());
  const int64_t skipped = skips[skips.size() / 2].at("step");
  const std::vector<Json> steps = events("whole", "step");
  const int64_t boundary = r.steps / 2;
  for (const int64_t last : std::set<int64_t>{skipped, boundary - 1, boundary, boundary + 1}) {
    const std::string name = fmt::format("until-{}", last);
    train_until(r, name, [&](int64_t step, bool) { return step == last; });
    resume(name);
    EXPECT_EQ(weights(name), weights("whole")) << last;
    EXPECT_EQ(events(name, "skip"), skips) << last;
    EXPECT_EQ(events(name, "eval"), events("whole", "eval")) << last;
    const std::vector<Json> continued = events(name, "step");
    ASSERT_EQ(continued.size(), steps.size());
    for (size_t i = 0; i < steps.size(); ++i) {
      for (const char* field : {"step", "loss", "grad_norm", "learning_rate", "weight_decay"}) {
        EXPECT_EQ(continued[i].at(field), steps[i].at(field)) << last << ", " << field;
      }
    }
  }
  // The test needs two stages.
  EXPECT_GT(steps.front().at("weight_decay"), steps.back().at("weight_decay"));
}

TEST_F(Training, RecomputingBlocksTrainsTheSameModel) {
  Recipe r = recipe();
  r.family = "b1";
  train(r, "kept");
  r.recompute = true;
  train(r, "recomputed");
  EXPECT_EQ(weights("recomputed"), weights("kept"));
  EXPECT_EQ(events("recomputed", "eval"), events("kept", "eval"));
}

}  // namespace
}  // namespace tercet::learn
