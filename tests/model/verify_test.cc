// SPDX-License-Identifier: Apache-2.0
#include "model/verify.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "model/convert.h"
#include "model/test_models.h"

namespace tercet::test {
namespace {

class VerifyTest : public testing::Test {
 protected:
  VerifyReport compare(const std::string& a, const std::string& b) {
    return verify(directory_ / a, directory_ / b, select_kernels(""), pool_);
  }

  TempDir directory_;
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
