// SPDX-License-Identifier: Apache-2.0
#include "model/forward.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/error.h"
#include "model/reference_forward.h"
#include "model/test_models.h"

namespace tercet::test {
namespace {

struct Variant {
  const char* name;
  LinearKind linear;
  NormPlacement norm;
  Activation activation;
  bool tied;
};

class ForwardVariants : public testing::TestWithParam<Variant> {
 protected:
  ForwardVariants() {
    config_ = tiny_config();
    config_.linear = GetParam().linear;
    config_.norm = GetParam().norm;
    config_.hidden_act = GetParam().activation;
    config_.tie_word_embeddings = GetParam().tied;
    weights_ = random_weights(config_, 7);
    write_hf_model(directory_ / "model", config_, weights_);
  }

  TempDir directory_;
  ModelConfig config_;
  FloatWeights weights_;
};

TEST_P(ForwardVariants, AgreesWithTheFormulas) {
  const Model model = Model::load(directory_ / "model");
  ASSERT_EQ(model.config(), config_);
  ThreadPool pool(1);
  const std::vector<int32_t> tokens = random_tokens(config_, 20, 3);
  const std::vector<double> errors =
      relative_rms_rows(reference_logits(config_, weights_, tokens), logits_of(model, tokens, pool),
                        config_.vocab_size);
  const auto above = [&](double bound) {
    return std::count_if(errors.begin(), errors.end(), [=](double e) { return e > bound; });
  };
  EXPECT_EQ(above(3e-2), 0);
  // A sum in another order can tip an int8 rounding, here and there; a dense model has none to tip.
  EXPECT_LE(above(1e-5), config_.linear == LinearKind::kDense ? 0 : 2);
}

TEST_P(ForwardVariants, IsTheSameHoweverTheSequenceIsCut) {
  const Model model = Model::load(directory_ / "model");
  ThreadPool pool(1);
  const std::vector<int32_t> tokens = random_tokens(config_, 37, 4);
  const std::vector<float> whole = logits_of(model, tokens, pool);
  EXPECT_EQ(logits_of(model, tokens, pool, 5), whole);

  KvCache cache(config_, 37);
  Forward forward(model, select_kernels(""), pool);
  const size_t vocabulary = static_cast<size_t>(config_.vocab_size);
  std::vector<float> logits(vocabulary);
  for (size_t t = 0; t < tokens.size(); ++t) {
    forward.run(std::span(tokens).subspan(t, 1), cache, logits, LogitsFor::kLast);
    const auto expected = std::span(whole).subspan(t * vocabulary, vocabulary);
    ASSERT_TRUE(std::equal(logits.begin(), logits.end(), expected.begin())) << "position " << t;
  }
}

TEST_P(ForwardVariants, IsTheSameOnAnyNumberOfThreads) {
  const Model model = Model::load(directory_ / "model");
  ThreadPool one(1);
  ThreadPool three(3);
  const std::vector<int32_t> tokens = random_tokens(config_, 100, 5);
  EXPECT_EQ(logits_of(model, tokens, three), logits_of(model, tokens, one));
}

INSTANTIATE_TEST_SUITE_P(
    All, ForwardVariants,
    testing::Values(
        Variant{"llama", LinearKind::kDense, NormPlacement::kPre, Activation::kSilu, true},
        Variant{"dense_sub", LinearKind::kDense, NormPlacement::kSub, Activation::kRelu2, false},
        Variant{"dense_inside", LinearKind::kDense, NormPlacement::kInside, Activation::kSilu,
                true},
        Variant{"b158_pre", LinearKind::kB158, NormPlacement::kPre, Activation::kSilu, false},
        Variant{"b158_sub", LinearKind::kB158, NormPlacement::kSub, Activation::kRelu2, true},
        Variant{"b158_inside", LinearKind::kB158, NormPlacement::kInside, Activation::kSilu, true}),
    [](const auto& variant) { return std::string(variant.param.name); });

class ForwardErrors : public testing::Test {
 protected:
  ForwardErrors() {
    write_hf_model(directory_ / "model", config_, random_weights(config_, 1));
    model_.emplace(Model::load(directory_ / "model"));
    forward_.emplace(*model_, select_kernels(""), pool_);
    logits_.resize(static_cast<size_t>(config_.vocab_size));
  }

  // The message of the error that running `tokens` gives; "" when it runs.
  std::string error_of(const std::vector<int32_t>& tokens, ErrorCode code) {
    try {
      forward_->run(tokens, cache_, logits_, LogitsFor::kLast);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.what();
    }
    return "";
  }

  TempDir directory_;
  ModelConfig config_ = tiny_config();
  ThreadPool pool_{1};
  std::optional<Model> model_;
  std::optional<Forward> forward_;
  KvCache cache_{config_, 8};
  std::vector<float> logits_;
};

TEST_F(ForwardErrors, RefusesTokensOutsideTheVocabulary) {
  EXPECT_NE(error_of({1, 97}, ErrorCode::kBadInput).find("token id 97"), std::string::npos);
  EXPECT_NE(error_of({-1}, ErrorCode::kBadInput).find("97 tokens"), std::string::npos);
  EXPECT_EQ(cache_.length(), 0);
}

TEST_F(ForwardErrors, RefusesMoreTokensThanTheContextHolds) {
  EXPECT_EQ(error_of({1, 2, 3, 4, 5}, ErrorCode::kUsage), "");
  const std::string message = error_of({1, 2, 3, 4}, ErrorCode::kUsage);
  EXPECT_NE(message.find("9 tokens do not fit in the context of 8"), std::string::npos) << message;
  EXPECT_EQ(cache_.length(), 5);
  EXPECT_EQ(error_of({1, 2, 3}, ErrorCode::kUsage), "");
  EXPECT_EQ(cache_.length(), 8);
}

TEST_F(ForwardErrors, RefusesToRunNothing) {
  EXPECT_NE(error_of({}, ErrorCode::kUsage).find("no tokens"), std::string::npos);
}

TEST_F(ForwardErrors, TruncatedCacheContinuesAsIfTheRestHadNeverBeen) {
  const std::vector<int32_t> prompt = {5, 6, 7};
  ASSERT_EQ(error_of(prompt, ErrorCode::kUsage), "");
  const std::vector<float> expected = logits_;
  ASSERT_EQ(error_of({8, 9}, ErrorCode::kUsage), "");
  cache_.truncate(2);
  ASSERT_EQ(error_of({7}, ErrorCode::kUsage), "");
  EXPECT_EQ(logits_, expected);
  EXPECT_THROW(cache_.truncate(4), Error);
}

TEST(KvCacheTest, RefusesImpossibleContexts) {
  const ModelConfig config = tiny_config();
  EXPECT_THROW(KvCache(config, 0), Error);
  EXPECT_THROW(KvCache(config, 129), Error);
  EXPECT_EQ(KvCache(config, 128).bytes(), 2u * 2 * 2 * 16 * 128 * 4);
  ModelConfig huge = config;
  huge.num_hidden_layers = 4096;
  huge.num_attention_heads = huge.num_key_value_heads = 65536;
  huge.max_position_embeddings = int64_t{1} << 30;
  EXPECT_THROW(KvCache(huge, int64_t{1} << 30), Error);
}

}  // namespace
}  // namespace tercet::test
