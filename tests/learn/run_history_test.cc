// SPDX-License-Identifier: Apache-2.0
#include "learn/study/run_history.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "core/error.h"
#include "core/file.h"
#include "learn/study/twin_charts.h"
#include "learn/study/twin_report.h"
#include "temporary_directory.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLog =
    R"({"event":"start","parameters":7}
{"event":"stats","step":0,"minus":0.3,"zero":0.4,"plus":0.3,"histogram":{"low":-1,"high":1,"counts":[0,5,5,0]}}
{"event":"step","step":1,"loss":6.5}
{"event":"step","step":2,"loss":null}
{"event":"eval","step":2,"validation_loss":5.5}
{"event":"news","step":2}
{"event":"stats","step":2,"minus":0.25,"zero":0.5,"plus":0.25,"flips_per_step":0.01,"kinds":{"q_proj":{"flips_per_step":0.02}},"histogram":{"low":-1,"high":1,"counts":[1,2,6,1]}}
)";

class RunHistoryTest : public ::testing::Test {
 protected:
  RunHistory history(const std::string& log) const {
    write_text_file(folder_ / "log.jsonl", log);
    return read_history(folder_.path(), 100);
  }

  tercet::testing::TemporaryDirectory folder_;
};

TEST_F(RunHistoryTest, ReadsCurvesOverTokens) {
  const RunHistory history = this->history(kLog);
  ASSERT_EQ(history.training.size(), 2u);
  EXPECT_EQ(history.training[0].tokens, 100);
  EXPECT_EQ(history.training[0].loss, 6.5);
  ASSERT_EQ(history.validation.size(), 1u);
  EXPECT_EQ(history.validation[0].tokens, 200);
  ASSERT_EQ(history.codes.size(), 2u);
  EXPECT_FALSE(history.codes[0].flips_per_step);
  EXPECT_EQ(history.codes[1].flips_by_kind.at("q_proj"), 0.02);
  EXPECT_EQ(history.latents->counts, (std::vector<double>{1, 2, 6, 1}));
}

TEST_F(RunHistoryTest, NamesTheDamagedLine) {
  for (const std::string line :
       {"{\"event\":\"step\"", "{\"event\":\"step\",\"step\":1}", "{\"step\":1}",
        "{\"event\":\"stats\",\"step\":1,\"histogram\":{\"low\":1,\"high\":1,\"counts\":[1,2,3]}}",
        "[]"}) {
    try {
      history("{\"event\":\"start\"}\n" + line + "\n");
      ADD_FAILURE() << line;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_NE(std::string(error.what()).find("log.jsonl:2"), std::string::npos) << error.what();
    }
  }
  fs::remove(folder_ / "log.jsonl");
  EXPECT_THROW(read_history(folder_.path(), 100), Error);
}

TEST_F(RunHistoryTest, ChartsShowWhatThereIs) {
  MemberCurves dense;
  dense.run.family = "llama";
  dense.history.training = {{100, 6}, {200, 5}};
  dense.history.validation = {{200, 5.1}};
  MemberCurves ternary = dense;
  ternary.run.family = "b1.58";
  ternary.history = history(kLog);
  const auto names = [](const std::vector<MemberCurves>& members) {
    std::vector<std::string> all;
    for (const NamedChart& chart : twin_charts(members)) all.push_back(chart.name);
    return all;
  };
  EXPECT_EQ(names({dense}), (std::vector<std::string>{"loss"}));
  EXPECT_EQ(names({dense, ternary}),
            (std::vector<std::string>{"loss", "flips", "shares", "latents", "flips-b1.58"}));
  for (const NamedChart& chart : twin_charts({dense, ternary})) {
    if (chart.name != "latents") continue;
    // 2 and 6 of 10 weights in bins of width 1.
    EXPECT_EQ(chart.chart.series[0].points[0].y, 0.2);
    EXPECT_EQ(chart.chart.series[0].points[3].y, 0.6);
  }
}

}  // namespace
}  // namespace tercet::learn
