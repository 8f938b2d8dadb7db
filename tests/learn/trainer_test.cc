// SPDX-License-Identifier: Apache-2.0
// What a run records and how it continues.
#include "learn/pretrain/trainer.h"

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
