// SPDX-License-Identifier: Apache-2.0
#include "learn/study/scaling_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "temporary_directory.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kVocabulary = 1000;
constexpr int64_t kContext = 512;

// hidden, layers, heads, key-value heads, feed-forward.
struct Shape {
  int64_t hidden, layers, heads, kv_heads, inner;
};
const Shape kShapes[] = {{64, 2, 4, 2, 192},
                         {128, 3, 4, 2, 384},
                         {256, 4, 4, 2, 768},
                         {384, 8, 6, 3, 1152},
                         {512, 9, 8, 4, 1536}};

// By the architecture, apart from ModelConfig's own count.
int64_t linear_parameters(const Shape& s) {
  const int64_t narrow = s.hidden / s.heads * s.kv_heads;
  return s.layers * (2 * s.hidden * s.hidden + 2 * s.hidden * narrow + 3 * s.hidden * s.inner);
}
int64_t parameters(const std::string& family, const Shape& s) {
  const int64_t norms = family == "llama" ? 2 * s.hidden : 3 * s.hidden + s.inner;
  return kVocabulary * s.hidden + linear_parameters(s) + s.layers * norms + s.hidden;
}

Json member(const std::string& family, const Shape& s, double loss) {
  return {{"family", family},
          {"parameters", parameters(family, s)},
          {"tokens", 81920},
          {"steps", 10},
          {"validation_loss", loss},
          {"validation_tokens", 1024},
          {"perplexity", std::exp(loss)},
          {"step_ms", 1},
          {"seconds", 1},
          {"peak_rss_bytes", 1},
          {"threads", 1},
          {"recipe",
           {{"family", family},
            {"norm", family == "llama" ? "pre" : "sub"},
            {"hidden_size", s.hidden},
            {"num_hidden_layers", s.layers},
            {"num_attention_heads", s.heads},
            {"num_key_value_heads", s.kv_heads},
            {"intermediate_size", s.inner},
            {"steps", 10}}}};
}

const ScalingLaw kLlama{60, -0.2, 1.9};
const ScalingLaw kB158{75, -0.21, 1.92};

class Results : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const Json& json) const {
    write_text_file(folder_ / name, json.dump());
    return folder_ / name;
  }

  // A file per shape with both families' losses by their laws.
  std::vector<fs::path> studies(size_t count) const {
    std::vector<fs::path> files;
    for (size_t i = 0; i < count; ++i) {
      Json members = Json::array();
      for (const auto& [family, law] : {std::pair{"llama", kLlama}, {"b1.58", kB158}}) {
        members.push_back(
            member(family, kShapes[i], law(static_cast<double>(parameters(family, kShapes[i])))));
      }
      files.push_back(write(fmt::format("{}.json", i), {{"members", members}}));
    }
    return files;
  }

  ErrorCode code_of(const std::vector<fs::path>& files) const {
    try {
      check_comparable(read_sizes(files));
    } catch (const Error& error) {
      message_ = error.what();
      return error.code();
    }
    return ErrorCode::kInternal;
  }

  tercet::testing::TemporaryDirectory folder_;
  mutable std::string message_;
};

TEST_F(Results, LawsAndGapsAreFound) {
  const std::vector<SizeResult> sizes = read_sizes(studies(5));
  check_comparable(sizes);
  const std::vector<FamilyLaw> laws = fit_laws(sizes, 0);
  const Json scaling = scaling_json(sizes, laws);
  ASSERT_EQ(laws.size(), 4u);
  for (const Json& law : scaling["laws"]) {
    EXPECT_EQ(law["degrees_of_freedom"], 2);
    if (law["size"] != "parameters") continue;
    const ScalingLaw& truth = law["family"] == "llama" ? kLlama : kB158;
    EXPECT_NEAR(law["a"].get<double>() / truth.a, 1, 1e-4);
    EXPECT_NEAR(law["b"].get<double>(), truth.b, 1e-5);
    EXPECT_NEAR(law["c"].get<double>(), truth.c, 1e-4);
  }
  ASSERT_EQ(scaling["sizes"].size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    const Json& llama = scaling["sizes"][i]["members"][0];
    const Json& b158 = scaling["sizes"][i]["members"][1];
    EXPECT_EQ(b158["linear_parameters"], linear_parameters(kShapes[i]));
    EXPECT_EQ(b158["non_embedding_parameters"],
              parameters("b1.58", kShapes[i]) - kVocabulary * kShapes[i].hidden);
    EXPECT_NEAR(b158["perplexity_gap_percent"].get<double>(),
                100 * (b158["perplexity"].get<double>() / llama["perplexity"].get<double>() - 1),
                1e-6);
    EXPECT_FALSE(llama.contains("loss_gap"));
  }
  EXPECT_EQ(members_table(scaling).rows.size(), 10u);
  EXPECT_EQ(laws_table(scaling).rows.size(), 4u);
}

TEST_F(Results, EnergyByHand) {
  const Shape& s = kShapes[0];
  const std::vector<SizeResult> sizes = read_sizes(studies(1));
  const Json json = scaling_json(sizes, {});
  const Json& llama = json["sizes"][0]["members"][0]["energy_per_token"];
  const Json& b158 = json["sizes"][0]["members"][1]["energy_per_token"];
  const double linear = static_cast<double>(linear_parameters(s));
  const double scores = static_cast<double>(2 * kContext * s.hidden * s.layers);
  const double narrow = static_cast<double>(s.hidden / s.heads * s.kv_heads);
  const double wide = static_cast<double>(s.hidden);
  const double inner = static_cast<double>(s.inner);
  const double layers = static_cast<double>(s.layers);
  const double outputs = layers * (2 * wide + 2 * narrow + 2 * inner + wide);
  const double inputs = layers * (6 * wide + inner);
  EXPECT_NEAR(llama["7nm"]["multiply_joules"].get<double>() / ((linear + scores) * 0.34e-12), 1,
              1e-12);
  EXPECT_NEAR(
      b158["7nm"]["multiply_joules"].get<double>() / ((outputs + inputs + scores) * 0.34e-12), 1,
      1e-12);
  // One addition less per output; scores: tokens per head, mixed values: their width.
  const double fewer = layers * (static_cast<double>(s.heads) * kContext + wide);
  EXPECT_NEAR(b158["45nm"]["add_joules"].get<double>() /
                  (((linear - outputs) * 0.03 + (scores - fewer) * 0.4) * 1e-12),
              1, 1e-12);
}

TEST_F(Results, FewSizesAreSaidToBeFew) {
  const std::vector<SizeResult> three = read_sizes(studies(3));
  const Json bare = scaling_json(three, fit_laws(three, 0))["laws"][0];
  EXPECT_EQ(bare["degrees_of_freedom"], 0);
  EXPECT_TRUE(bare["b_interval"].is_null());
  const Json known = scaling_json(three, fit_laws(three, 0.01))["laws"][0];
  EXPECT_TRUE(known["b_interval"].is_array());
  const std::vector<SizeResult> two = read_sizes(studies(2));
  const Json unfit = scaling_json(two, fit_laws(two, 0))["laws"][0];
  EXPECT_NE(unfit["note"].get<std::string>().find("three sizes"), std::string::npos);
}

TEST_F(Results, SeedsOfOneSizeStandTogether) {
  Json other = member("b1.58", kShapes[0], 4.5);
  other["recipe"]["seed"] = 2;
  std::vector<fs::path> files = studies(1);
  files.push_back(write("seed.json", {{"members", {other}}}));
  const std::vector<SizeResult> sizes = read_sizes(files);
  ASSERT_EQ(sizes.size(), 1u);
  EXPECT_EQ(sizes[0].runs.size(), 3u);
}

TEST_F(Results, WhatCannotBeComparedIsRefused) {
  Json longer = member("llama", kShapes[1], 4);
  longer["recipe"]["sequence_length"] = 64;
  const fs::path first = studies(1)[0];
  EXPECT_EQ(code_of({first, write("longer.json", {{"members", {longer}}})}), ErrorCode::kUsage);
  EXPECT_NE(message_.find("sequence lengths"), std::string::npos);
  EXPECT_EQ(code_of({first, first}), ErrorCode::kUsage);
  EXPECT_NE(message_.find("twice"), std::string::npos);
}

TEST_F(Results, DamageIsNamed) {
  struct Case {
    const char* field;
    Json value;
  };
  const Case cases[] = {{"parameters", 12345}, {"validation_loss", -1},
                        {"recipe", 3},         {"tokens", "many"},
                        {"steps", 0},          {"family", 7}};
  for (const Case& c : cases) {
    Json broken = member("llama", kShapes[0], 4);
    broken[c.field] = c.value;
    const fs::path file = write("broken.json", {{"members", {broken}}});
    EXPECT_EQ(code_of({file}), ErrorCode::kBadInput) << c.field;
    EXPECT_NE(message_.find(file.string()), std::string::npos) << message_;
    EXPECT_NE(message_.find(c.field), std::string::npos) << message_;
  }
  EXPECT_EQ(code_of({write("none.json", Json::object())}), ErrorCode::kUsage);
  EXPECT_EQ(code_of({folder_.path()}), ErrorCode::kUsage);
  EXPECT_EQ(code_of({folder_ / "missing.json"}), ErrorCode::kIo);
}

}  // namespace
}  // namespace tercet::learn
