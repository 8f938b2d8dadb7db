// SPDX-License-Identifier: Apache-2.0
#include "learn/study/twin_plan.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "core/error.h"
#include "learn/data/manifest.h"
#include "learn/pretrain/presets.h"
#include "learn/study/scaling_plan.h"
#include "temporary_directory.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

// A data set's table of contents is all that a plan reads.
class TwinPlan : public ::testing::Test {
 protected:
  void SetUp() override {
    DatasetManifest manifest;
    manifest.vocab_size = 4096;
    manifest.train = {1000, 1, 4000, {{"train-00000.bin", 1000, 1, 7}}};
    manifest.validation = {100, 1, 400, {{"val-00000.bin", 100, 1, 7}}};
    write_manifest(folder_.path(), manifest);
  }

  TwinRequest request() const {
    TwinRequest request;
    request.preset = "1m";
    request.options["data"] = folder_.path().string();
    return request;
  }

  tercet::testing::TemporaryDirectory folder_;
};

TEST_F(TwinPlan, EachFamilyHasItsLinearMaps) {
  const std::vector<TwinMember> members = plan_twin(request());
  ASSERT_EQ(members.size(), 3u);
  EXPECT_EQ(members[0].recipe.linear, "dense");
  EXPECT_EQ(members[1].recipe.linear, "b1.58");
  EXPECT_EQ(members[2].recipe.linear, "b1");
  for (const TwinMember& member : members) {
    EXPECT_EQ(member.recipe.learning_rate,
              resolved(preset_recipe("1m", member.family)).learning_rate);
    EXPECT_EQ(member.recipe.steps, members[0].recipe.steps);
    EXPECT_TRUE(fs::path(member.recipe.data.front().path).is_absolute());
    EXPECT_GE(member.recipe.threads, 1);
  }
}

TEST_F(TwinPlan, LaterSettingsWin) {
  TwinRequest request = this->request();
  request.common = {{"learning_rate", 1e-3}, {"sample_tokens", 5}, {"batch_size", 16}};
  request.own["b1"] = {{"family", "b1"}, {"learning_rate", 2e-3}, {"data", "/nowhere"}};
  request.options["batch_size"] = 8;
  request.options["tokens"] = 1000000;
  add_own_setting(request, "b1.58.learning_rate=3e-3");
  add_own_setting(request, "b1.58.schedule=linear");
  const std::vector<TwinMember> members = plan_twin(request);
  EXPECT_EQ(members[0].recipe.learning_rate, 1e-3);
  EXPECT_EQ(members[1].recipe.learning_rate, 3e-3);
  EXPECT_EQ(members[1].recipe.schedule, "linear");
  EXPECT_EQ(members[2].recipe.learning_rate, 2e-3);
  EXPECT_EQ(members[2].recipe.batch_size, 8);
  EXPECT_EQ(members[2].recipe.sample_tokens, 5);
  EXPECT_EQ(members[2].recipe.steps, (1000000 + 8 * 256 - 1) / (8 * 256));
  // Warm-up belongs to the length, not to the preset's.
  EXPECT_EQ(members[0].recipe.warmup_steps, members[0].recipe.steps / 20);
}

// The error that a plan with a change ends with.
std::string error_of(ErrorCode code, const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST_F(TwinPlan, RefusesWhatMakesNoComparison) {
  struct Case {
    std::vector<std::string> families;
    std::string setting;
    ErrorCode code;
    const char* word;
  };
  const Case cases[] = {
      {{"llama", "gpt"}, "", ErrorCode::kUsage, "gpt"},
      {{"b1", "b1"}, "", ErrorCode::kUsage, "twice"},
      {{}, "b1.58.seed=4", ErrorCode::kUsage, "seed"},
      {{}, "b1.58.batch_size=4", ErrorCode::kUsage, "batch_size"},
      {{}, "b1.58.eval_tokens=512", ErrorCode::kUsage, "eval_tokens"},
      {{}, "b1.58", ErrorCode::kUsage, "FAMILY.FIELD=VALUE"},
      {{}, "learning_rate=1", ErrorCode::kUsage, "FAMILY.FIELD=VALUE"},
      {{}, "b1.58.rate=4", ErrorCode::kUsage, "rate"},
      {{}, "b1.58.learning_rate=fast", ErrorCode::kUsage, "fast"},
      {{}, "b1.58.norm=up", ErrorCode::kUsage, "norm"},
      {{}, "b1.58.family=b1", ErrorCode::kUsage, "b1"},
      {{"llama"}, "b1.learning_rate=1", ErrorCode::kUsage, "'b1'"},
      {{}, "b1.hidden_size=33", ErrorCode::kBadInput, "hidden_size"},
  };
  for (const Case& c : cases) {
    const std::string message = error_of(c.code, [&] {
      TwinRequest request = this->request();
      request.families = c.families;
      if (!c.setting.empty()) add_own_setting(request, c.setting);
      plan_twin(request);
    });
    EXPECT_NE(message.find(c.word), std::string::npos) << message;
  }
  TwinRequest without_data = request();
  without_data.options.erase("data");
  EXPECT_NE(error_of(ErrorCode::kUsage, [&] { plan_twin(without_data); }).find("--data"),
            std::string::npos);
  TwinRequest without_length = request();
  without_length.preset.clear();
  error_of(ErrorCode::kUsage, [&] { plan_twin(without_length); });
}

TEST_F(TwinPlan, ScalingNeedsSizesAndALength) {
  ScalingRequest request;
  request.base = this->request();
  error_of(ErrorCode::kUsage, [&] { plan_scaling(request); });
  request.presets = {"1m", "1m"};
  error_of(ErrorCode::kUsage, [&] { plan_scaling(request); });
  request.presets = {"2m"};
  error_of(ErrorCode::kUsage, [&] { plan_scaling(request); });
  request.presets = {"1m"};
  request.tokens_per_parameter = 0;
  error_of(ErrorCode::kUsage, [&] { plan_scaling(request); });
}

TEST_F(TwinPlan, MembersSurviveTheirFile) {
  const std::vector<TwinMember> members = plan_twin(request());
  const std::vector<TwinMember> again = members_of_json(to_json(members), "study.json");
  ASSERT_EQ(again.size(), members.size());
  for (size_t i = 0; i < members.size(); ++i) {
    EXPECT_EQ(again[i].family, members[i].family);
    EXPECT_EQ(to_json(again[i].recipe), to_json(members[i].recipe));
  }
  EXPECT_THROW(members_of_json(Json::array(), "study.json"), Error);
  EXPECT_THROW(members_of_json({{{"family", 3}}}, "study.json"), Error);
}

TEST_F(TwinPlan, SizesShareWindowsAndFollowTheirParameters) {
  ScalingRequest request;
  request.presets = {"1m", "15m"};
  request.tokens_per_parameter = 10;
  request.base = this->request();
  const std::vector<ScalingSize> sizes = plan_scaling(request);
  ASSERT_EQ(sizes.size(), 2u);
  const Recipe& small = sizes[0].members[0].recipe;
  const Recipe& large = sizes[1].members[0].recipe;
  EXPECT_EQ(small.sequence_length, 256);
  EXPECT_EQ(large.sequence_length, 256);
  EXPECT_EQ(large.batch_size * large.sequence_length, 32 * 512);  // the preset's
  for (const Recipe* recipe : {&small, &large}) {
    const double parameters =
        static_cast<double>(model_config(*recipe, 4096, 1, 2).parameter_count());
    const double tokens =
        static_cast<double>(recipe->steps * recipe->batch_size * recipe->sequence_length);
    EXPECT_GE(tokens, 10 * parameters);
    EXPECT_LT(tokens, 10 * parameters + 32 * 512);
  }
  // Also when a window or a length is asked for.
  request.base.options["sequence_length"] = 128;
  request.base.options["steps"] = 7;
  for (const ScalingSize& size : plan_scaling(request)) {
    EXPECT_EQ(size.members[1].recipe.sequence_length, 128);
    EXPECT_EQ(size.members[1].recipe.steps, 7);
  }
}

}  // namespace
}  // namespace tercet::learn
