// SPDX-License-Identifier: Apache-2.0
#include "model/forward.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
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
  BitnetVariants variants = {};
};

class ForwardVariants : public ::testing::TestWithParam<Variant> {
 protected:
  ForwardVariants() {
    config_ = tiny_config();
    config_.linear = GetParam().linear;
    config_.norm = GetParam().norm;
    config_.hidden_act = GetParam().activation;
    config_.tie_word_embeddings = GetParam().tied;
    config_.variants = GetParam().variants;
    weights_ = random_weights(config_, 7);
    write_hf_model(directory_ / "model", config_, weights_);
  }

  testing::TemporaryDirectory directory_;
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

// Prompts, single tokens and continuations mixed in one call, cut into passes in several ways.
TEST_P(ForwardVariants, SequencesOfABatchAreTheSameAsAlone) {
  const Model model = Model::load(directory_ / "model");
  ThreadPool pool(2);
  const size_t vocabulary = static_cast<size_t>(config_.vocab_size);
  const std::vector<size_t> prompts = {37, 1, 9, 1, 50};  // tokens that the first call brings
  const std::vector<size_t> more = {1, 1, 12, 30, 1};     // and the second one
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<float>> alone;
  for (size_t i = 0; i < prompts.size(); ++i) {
    tokens.push_back(random_tokens(config_, static_cast<int64_t>(prompts[i] + more[i]), 20 + i));
    alone.push_back(logits_of(model, tokens[i], pool));
  }
  for (const int64_t chunk : {7, 64, 240}) {
    Forward forward(model, select_kernels(""), pool, chunk);
    std::vector<KvCache> caches;
    for (size_t i = 0; i < prompts.size(); ++i) caches.emplace_back(config_, 128);
    std::vector<SequenceStep> steps;
    for (size_t i = 0; i < prompts.size(); ++i) {
      const LogitsFor which = i == 2 ? LogitsFor::kNone : LogitsFor::kLast;
      steps.push_back({std::span(tokens[i]).first(prompts[i]), &caches[i], which});
    }
    std::vector<float> logits(4 * vocabulary);
    ASSERT_EQ(Forward::logit_rows(steps), 4);
    forward.run_batch(steps, logits);
    const auto expect_row = [&](size_t row, size_t sequence, size_t position) {
      const auto expected = std::span(alone[sequence]).subspan(position * vocabulary, vocabulary);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(),
                             logits.begin() + static_cast<int64_t>(row * vocabulary)))
          << "sequence " << sequence << ", position " << position << ", chunk " << chunk;
    };
    for (const auto& [row, sequence] : {std::pair{0U, 0U}, {1U, 1U}, {2U, 3U}, {3U, 4U}}) {
      expect_row(row, sequence, prompts[sequence] - 1);
    }
    for (size_t i = 0; i < prompts.size(); ++i) {
      steps[i].tokens = std::span(tokens[i]).subspan(prompts[i]);
      steps[i].logits = i == 3 ? LogitsFor::kAll : LogitsFor::kLast;
    }
    logits.assign((4 + more[3]) * vocabulary, 0.0f);
    forward.run_batch(steps, logits);
    for (size_t i = 0; i < 3; ++i) expect_row(i, i, tokens[i].size() - 1);
    for (size_t t = 0; t < more[3]; ++t) expect_row(3 + t, 3, prompts[3] + t);
    expect_row(3 + more[3], 4, tokens[4].size() - 1);
  }
}

// With a head in planes, steps that want all their logits and steps that want one share a pass, and
// only the latter leave unlikely logits rough.
TEST(Forward, APackedHeadServesMixedSteps) {
  ModelConfig config = tiny_config();
  config.vocab_size = 3001;
  const testing::TemporaryDirectory directory;
  write_hf_model(directory / "model", config, random_weights(config, 7));
  const Model model = Model::load(directory / "model");
  ThreadPool pool(2);
  const auto packed =
      std::make_shared<const PackedModel>(model, select_kernels(""), pool, HeadPrecision::kInt8);
  const size_t vocabulary = static_cast<size_t>(config.vocab_size);
  const auto alone = [&](std::span<const int32_t> tokens, LogitsFor which) {
    Forward forward(packed, pool);
    KvCache cache(config, 16);
    const SequenceStep step{tokens, &cache, which};
    std::vector<float> logits(static_cast<size_t>(Forward::logit_rows({&step, 1})) * vocabulary);
    forward.run_batch({&step, 1}, logits);
    return logits;
  };
  constexpr std::array<LogitsFor, 5> kWhich = {LogitsFor::kLast, LogitsFor::kLast, LogitsFor::kAll,
                                               LogitsFor::kNone, LogitsFor::kLast};
  std::vector<std::vector<int32_t>> tokens;
  std::vector<float> expected;
  for (size_t i = 0; i < kWhich.size(); ++i) {
    tokens.push_back(random_tokens(config, 3 + static_cast<int64_t>(i), 40 + i));
    const std::vector<float> logits = alone(tokens[i], kWhich[i]);
    expected.insert(expected.end(), logits.begin(), logits.end());
  }
  Forward forward(packed, pool);
  std::vector<KvCache> caches;
  for (size_t i = 0; i < kWhich.size(); ++i) caches.emplace_back(config, 16);
  std::vector<SequenceStep> steps;
  for (size_t i = 0; i < kWhich.size(); ++i) steps.push_back({tokens[i], &caches[i], kWhich[i]});
  std::vector<float> logits(expected.size());
  forward.run_batch(steps, logits);
  EXPECT_EQ(logits, expected);

  const std::vector<float> rough = alone(tokens[0], LogitsFor::kLast);
  const std::vector<float> all = alone(tokens[0], LogitsFor::kAll);
  const std::vector<float> exact(all.end() - static_cast<int64_t>(vocabulary), all.end());
  EXPECT_NE(rough, exact);
  const auto best = std::max_element(exact.begin(), exact.end()) - exact.begin();
  EXPECT_EQ(std::max_element(rough.begin(), rough.end()) - rough.begin(), best);
  EXPECT_EQ(rough[static_cast<size_t>(best)], exact[static_cast<size_t>(best)]);
}

TEST_P(ForwardVariants, NarrowCachesStayCloseAndDoNotDependOnCuts) {
  const Model model = Model::load(directory_ / "model");
  ThreadPool pool(2);
  const std::vector<int32_t> tokens = random_tokens(config_, 60, 6);
  const std::vector<float> exact = logits_of(model, tokens, pool);
  const std::vector<double> reference(exact.begin(), exact.end());
  for (const KvType type : {KvType::kF16, KvType::kBF16, KvType::kInt8}) {
    SCOPED_TRACE(to_string(type));
    std::vector<float> first;
    for (const size_t cut : {60, 13, 1}) {
      KvCache cache(config_, 60, type);
      Forward forward(model, select_kernels(""), pool);
      std::vector<float> logits(exact.size());
      const size_t width = exact.size() / tokens.size();
      for (size_t begin = 0; begin < tokens.size(); begin += cut) {
        const size_t count = std::min(cut, tokens.size() - begin);
        forward.run(std::span(tokens).subspan(begin, count), cache,
                    std::span(logits).subspan(begin * width, count * width), LogitsFor::kAll);
      }
      if (first.empty()) first = logits;
      EXPECT_EQ(logits, first) << cut;
    }
    std::vector<double> errors = relative_rms_rows(reference, first, config_.vocab_size);
    std::sort(errors.begin(), errors.end());
    EXPECT_GT(errors.back(), 0);
    // Where activations are int8, a last bit can tip a rounding; steps of 4 bits are 16 as large.
    const double tipped = config_.variants.activation_bits == 4 ? 5e-1 : 1e-1;
    const double bound = config_.linear == LinearKind::kDense ? 3e-2 : tipped;
    EXPECT_LT(errors[errors.size() / 2], type == KvType::kF16 ? bound / 5 : bound);
  }
}

TEST_P(ForwardVariants, IsTheSameOnAnyNumberOfThreads) {
  const Model model = Model::load(directory_ / "model");
  ThreadPool one(1);
  ThreadPool three(3);
  const std::vector<int32_t> tokens = random_tokens(config_, 100, 5);
  EXPECT_EQ(logits_of(model, tokens, three), logits_of(model, tokens, one));
}

// Dense maps among ternary ones share an input with them, whichever comes first.
TEST(Forward, DenseMapsAmongTernaryOnes) {
  for (const char* map : {"self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj", "mlp.up_proj"}) {
    ModelConfig config = tiny_b158_config();
    config.dense_maps = {std::string("model.layers.0.") + map};
    const FloatWeights weights = random_weights(config, 3);
    const testing::TemporaryDirectory directory;
    write_hf_model(directory / "model", config, weights);
    const Model model = Model::load(directory / "model");
    ASSERT_EQ(model.config(), config);
    ThreadPool pool(2);
    const std::vector<int32_t> tokens = random_tokens(config, 20, 3);
    std::vector<double> errors =
        relative_rms_rows(reference_logits(config, weights, tokens), logits_of(model, tokens, pool),
                          config.vocab_size);
    std::sort(errors.begin(), errors.end());
    EXPECT_LT(errors[errors.size() / 2], 1e-5) << map;
    EXPECT_LT(errors.back(), 3e-2) << map;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ForwardVariants,
    ::testing::Values(
        Variant{"llama", LinearKind::kDense, NormPlacement::kPre, Activation::kSilu, true},
        Variant{"dense_sub", LinearKind::kDense, NormPlacement::kSub, Activation::kRelu2, false},
        Variant{"dense_inside", LinearKind::kDense, NormPlacement::kInside, Activation::kSilu,
                true},
        Variant{"b158_pre", LinearKind::kB158, NormPlacement::kPre, Activation::kSilu, false},
        Variant{"b158_sub", LinearKind::kB158, NormPlacement::kSub, Activation::kRelu2, true},
        Variant{"b158_inside", LinearKind::kB158, NormPlacement::kInside, Activation::kSilu, true},
        Variant{"b1", LinearKind::kB1, NormPlacement::kInsidePlain, Activation::kSilu, false},
        Variant{"b1_sub", LinearKind::kB1, NormPlacement::kSub, Activation::kRelu2, true},
        Variant{"a4_8",
                LinearKind::kB158,
                NormPlacement::kSub,
                Activation::kRelu2,
                true,
                {.activation_bits = 4, .o_proj_top_k = 0.5f}},
        Variant{"top_k_inside",
                LinearKind::kB158,
                NormPlacement::kInside,
                Activation::kSilu,
                true,
                {.o_proj_top_k = 0.3f}},
        Variant{"v2_a8",
                LinearKind::kB158,
                NormPlacement::kSub,
                Activation::kRelu2,
                true,
                {.hadamard = true}},
        Variant{"v2_a4",
                LinearKind::kB158,
                NormPlacement::kPre,
                Activation::kSilu,
                false,
                {.activation_bits = 4, .hadamard = true}},
        Variant{"b1_groups",
                LinearKind::kB1,
                NormPlacement::kInsidePlain,
                Activation::kSilu,
                false,
                {.quant_groups = 4}},
        Variant{"b1_shifted",
                LinearKind::kB1,
                NormPlacement::kSub,
                Activation::kRelu2,
                true,
                {.shifted_gate_input = true}},
        Variant{"b1_shifted_groups",
                LinearKind::kB1,
                NormPlacement::kInsidePlain,
                Activation::kSilu,
                false,
                {.quant_groups = 2, .shifted_gate_input = true}}),
    [](const auto& variant) { return std::string(variant.param.name); });

class ForwardErrors : public ::testing::Test {
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

  testing::TemporaryDirectory directory_;
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

TEST_F(ForwardErrors, RefusesOneCacheForTwoSequences) {
  const std::vector<int32_t> tokens = {1};
  const std::vector<SequenceStep> steps = {{tokens, &cache_}, {tokens, &cache_}};
  logits_.resize(2 * logits_.size());
  EXPECT_THROW(forward_->run_batch(steps, logits_), Error);
  EXPECT_EQ(cache_.length(), 0);
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

TEST(KvCacheTest, TakesMemoryAsTokensCome) {
  ModelConfig config = tiny_config();
  config.max_position_embeddings = 1000;
  for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kInt8}) {
    SCOPED_TRACE(to_string(type));
    EXPECT_EQ(kv_type_named(to_string(type)), type);
    KvCache cache(config, 1000, type);
    EXPECT_EQ(cache.held_bytes(), 0u);
    EXPECT_EQ(cache.bytes(), KvCache::bytes_per_token(config, type) * 1024);
    cache.reserve(1);
    EXPECT_EQ(cache.held_bytes(), KvCache::bytes_per_token(config, type) * kSegmentPositions);
    cache.reserve(257);
    EXPECT_EQ(cache.held_bytes(), KvCache::bytes_per_token(config, type) * 2 * kSegmentPositions);
    cache.reserve(1000);
    EXPECT_EQ(cache.held_bytes(), cache.bytes());
  }
  EXPECT_THROW(kv_type_named("f8"), Error);
}

}  // namespace
}  // namespace tercet::test
