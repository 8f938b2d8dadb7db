// SPDX-License-Identifier: Apache-2.0
#include "model/verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "model/convert.h"
#include "model/test_models.h"

namespace tercet::test {
namespace {

class VerifyTest : public ::testing::Test {
 protected:
  VerifyReport compare(const std::string& a, const std::string& b) {
    return verify(directory_ / a, directory_ / b, select_kernels(""), pool_);
  }

  testing::TemporaryDirectory directory_;
  ThreadPool pool_{1};
};

TEST_F(VerifyTest, SeesOtherWeights) {
  const ModelConfig config = tiny_b158_config();
  FloatWeights weights = random_weights(config, 1);
  write_hf_model(directory_ / "a", config, weights);
  // The largest latent weight changes its sign: one code of one matrix, and gamma stays.
  std::vector<float>& matrix = weights["model.layers.1.self_attn.v_proj.weight"];
  const auto largest = std::max_element(matrix.begin(), matrix.end());
  *largest = -*largest;
  write_hf_model(directory_ / "b", config, weights);
  const VerifyReport report = compare("a", "b");
  EXPECT_EQ(report.ternary_tensors, 14);
  EXPECT_FALSE(report.ternary_equal);
  EXPECT_GT(report.relative_rms_max, 1e-4);
  EXPECT_EQ(report.positions, 64);
}

TEST_F(VerifyTest, IsExactForAModelAndItself) {
  const ModelConfig config = tiny_b158_config();
  write_hf_model(directory_ / "a", config, random_weights(config, 1));
  const VerifyReport report = compare("a", "a");
  EXPECT_TRUE(report.ternary_equal);
  EXPECT_EQ(report.relative_rms_max, 0);
  EXPECT_EQ(report.top1_agreement, 1);
}

// Only the last positions have NaN: the median without them is fine, and NaN sorted among numbers
// could end anywhere.
TEST_F(VerifyTest, LogitsThatAreNotFiniteAreAFaultAtAnyPosition) {
  ModelConfig config = tiny_config();
  config.tie_word_embeddings = false;
  FloatWeights weights = random_weights(config, 1);
  write_hf_model(directory_ / "a", config, weights);
  const size_t late_token = 11;  // first drawn at position 62 of 64
  weights["model.embed_tokens.weight"][late_token * static_cast<size_t>(config.hidden_size)] =
      std::numeric_limits<float>::quiet_NaN();
  write_hf_model(directory_ / "b", config, weights);
  const VerifyReport report = compare("a", "b");
  EXPECT_GT(report.top1_agreement, 0.9);
  EXPECT_LT(report.top1_agreement, 1);
  EXPECT_TRUE(std::isnan(report.relative_rms_median));
  EXPECT_TRUE(std::isnan(report.relative_rms_max));
  EXPECT_NE(find_fault(report).find("not finite"), std::string::npos);
}

TEST_F(VerifyTest, KnowsWhichConversionsKeepEverything) {
  const ModelConfig config = tiny_b158_config();
  write_hf_model(directory_ / "a", config, random_weights(config, 1));
  const auto report_of = [&](StoredType type, StoredType rest) {
    convert(directory_ / "a", directory_ / "a.gguf", {type, rest}, {}, nullptr);
    return compare("a", "a.gguf");
  };
  VerifyReport report = report_of(StoredType::kTrit5, StoredType::kF32);
  EXPECT_TRUE(report.lossless);
  EXPECT_EQ(find_fault(report), "");
  report.relative_rms_max = 1e-5;
  EXPECT_NE(find_fault(report).find("a lossless conversion"), std::string::npos);

  report = report_of(StoredType::kTrit5, StoredType::kQ8_0);
  EXPECT_FALSE(report.lossless);
  EXPECT_EQ(find_fault(report), "");
  report = report_of(StoredType::kF32, StoredType::kF32);  // no int8 activations any more
  EXPECT_FALSE(report.lossless);
  EXPECT_EQ(find_fault(report), "");
}

TEST(FindFault, BoundsTheMedianAndTheWorstPosition) {
  const auto fault = [](double median, double worst, bool equal) {
    VerifyReport report;
    report.relative_rms_median = median;
    report.relative_rms_max = worst;
    report.ternary_equal = equal;
    return !find_fault(report).empty();
  };
  EXPECT_FALSE(fault(0.09, 0.4, true));
  EXPECT_TRUE(fault(0.11, 0.4, true));
  EXPECT_TRUE(fault(0.01, 0.6, true));
  EXPECT_TRUE(fault(0, 0, false));
  EXPECT_TRUE(fault(0.01, std::numeric_limits<double>::infinity(), true));
}

TEST_F(VerifyTest, RefusesModelsOfDifferentShape) {
  ModelConfig config = tiny_b158_config();
  write_hf_model(directory_ / "a", config, random_weights(config, 1));
  config.num_hidden_layers = 3;
  write_hf_model(directory_ / "b", config, random_weights(config, 1));
  EXPECT_THROW(compare("a", "b"), Error);
}

TEST_F(VerifyTest, ShortContextsAreComparedAsFarAsTheyGo) {
  ModelConfig config = tiny_b158_config();
  config.max_position_embeddings = 5;
  write_hf_model(directory_ / "a", config, random_weights(config, 1));
  convert(directory_ / "a", directory_ / "a.gguf", {}, {}, nullptr);
  EXPECT_EQ(compare("a", "a.gguf").positions, 5);
  EXPECT_TRUE(compare("a", "a.gguf").ternary_equal);
}

}  // namespace
}  // namespace tercet::test
