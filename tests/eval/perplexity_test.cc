// SPDX-License-Identifier: Apache-2.0
#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "core/error.h"

namespace tercet {
namespace {

// A model whose probabilities are a function of the tokens seen since reset(), and which notes
// every (position, context) it was asked for.
class FakeScorer : public Scorer {
 public:
  using Rule = std::function<std::vector<double>(const std::vector<int32_t>& seen)>;
  FakeScorer(int64_t vocab, int64_t context, int64_t chunk, Rule rule)
      : vocab_(vocab), context_(context), chunk_(chunk), rule_(std::move(rule)) {}

  std::string name() const override { return "fake"; }
  int64_t vocab_size() const override { return vocab_; }
  int64_t context() const override { return context_; }
  int64_t max_chunk() const override { return chunk_; }
  void reset() override { seen_.clear(); }
  std::span<const float> advance(std::span<const int32_t> tokens) override {
    EXPECT_LE(std::ssize(tokens), chunk_);
    logits_.clear();
    for (const int32_t token : tokens) {
      seen_.push_back(token);
      EXPECT_LE(std::ssize(seen_), context_);
      inputs_.push_back(seen_);
      // An offset, since softmax must not depend on it.
      for (const double p : rule_(seen_)) logits_.push_back(static_cast<float>(std::log(p) + 3.0));
    }
    return logits_;
  }
  const std::vector<std::vector<int32_t>>& inputs() const { return inputs_; }

 private:
  int64_t vocab_, context_, chunk_;
  Rule rule_;
  std::vector<int32_t> seen_;
  std::vector<std::vector<int32_t>> inputs_;
  std::vector<float> logits_;
};

std::vector<double> uniform_four(const std::vector<int32_t>&) { return {0.25, 0.25, 0.25, 0.25}; }

// Half for the successor of the last token, the rest shared.
std::vector<double> counting(const std::vector<int32_t>& seen) {
  std::vector<double> p(4, 1.0 / 6.0);
  p[(seen.back() + 1) % 4] = 0.5;
  return p;
}

std::vector<int32_t> cycle(int64_t count) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(i % 4));
  return tokens;
}

template <typename Call>
Error error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return Error(ErrorCode::kInternal, "");
}

TEST(Perplexity, OfAUniformModelIsTheVocabularySize) {
  FakeScorer scorer(4, 16, 5, uniform_four);
  const PerplexityResult result = measure_perplexity(scorer, cycle(100), {});
  EXPECT_NEAR(result.perplexity, 4.0, 1e-6);
  EXPECT_NEAR(result.mean_nll, std::log(4.0), 1e-7);
  EXPECT_NEAR(result.mean_nll_stderr, 0.0, 1e-6);
  // 7 windows (6 of 16, one of 4), the first token of each only context.
  EXPECT_EQ(result.windows, 7);
  EXPECT_EQ(result.tokens, 93);
  EXPECT_FALSE(result.bits_per_byte.has_value());
  EXPECT_FALSE(result.kl_divergence_mean.has_value());
}

TEST(Perplexity, WithBosScoresEveryToken) {
  FakeScorer scorer(4, 8, 3, counting);
  PerplexityOptions options;
  options.bos_id = 3;  // its successor is 0, the first token of each window of 4 or 8 ...
  options.context = 5;
  const PerplexityResult result = measure_perplexity(scorer, cycle(10), options);
  EXPECT_EQ(result.tokens, 10);
  EXPECT_EQ(result.windows, 3);
  EXPECT_NEAR(result.perplexity, 2.0, 1e-6);
  // The model saw BOS, then the window without its last token.
  EXPECT_EQ(scorer.inputs().front(), (std::vector<int32_t>{3}));
  EXPECT_EQ(scorer.inputs()[3], (std::vector<int32_t>{3, 0, 1, 2}));
  EXPECT_EQ(scorer.inputs()[4], (std::vector<int32_t>{3}));
}

TEST(Perplexity, AStrideScoresEachTokenOnceWithMoreContext) {
  // NLL is 1 / context seen, so that the mean tells which contexts were used.
  FakeScorer scorer(4, 4, 4, [](const std::vector<int32_t>& seen) {
    const double p = std::exp(-1.0 / static_cast<double>(seen.size()));
    std::vector<double> row(4, (1.0 - p) / 3.0);
    row[(seen.back() + 1) % 4] = p;
    return row;
  });
  PerplexityOptions options;
  options.stride = 2;
  // Windows [0,4), [2,6), [4,8): contexts 1 2 3 | 2 3 | 2 3.
  const PerplexityResult result = measure_perplexity(scorer, cycle(8), options);
  EXPECT_EQ(result.tokens, 7);
  EXPECT_EQ(result.windows, 3);
  const double expected = (1.0 + 1.0 / 2 + 1.0 / 3 + 2 * (1.0 / 2 + 1.0 / 3)) / 7.0;
  EXPECT_NEAR(result.mean_nll, expected, 1e-6);
}

TEST(Perplexity, DoesNotDependOnTheChunk) {
  PerplexityOptions options;
  options.context = 7;
  options.stride = 3;
  FakeScorer one(4, 7, 1, counting);
  FakeScorer all(4, 7, 7, counting);
  std::vector<int32_t> tokens = {0, 1, 1, 2, 3, 3, 0, 2, 1, 0, 3, 2, 2, 1};
  const PerplexityResult a = measure_perplexity(one, tokens, options);
  const PerplexityResult b = measure_perplexity(all, tokens, options);
  EXPECT_EQ(a.tokens, 13);
  EXPECT_EQ(b.tokens, 13);
  EXPECT_EQ(a.mean_nll, b.mean_nll);
}

TEST(Perplexity, StandardErrorAndBitsPerByteHaveTheirTextbookValues) {
  // NLLs ln 2 (hit) and ln 6 (miss), two of each.
  FakeScorer scorer(4, 5, 5, counting);
  const std::vector<int32_t> bytes = {1, 2, 3, 4};
  PerplexityOptions options;
  options.token_bytes = bytes;
  const PerplexityResult result =
      measure_perplexity(scorer, std::vector<int32_t>{0, 1, 3, 0, 2}, options);
  const double mean = (std::log(2.0) + std::log(6.0)) / 2;
  const double deviation = std::sqrt(4.0 / 3.0) * std::log(3.0) / 2;
  EXPECT_EQ(result.tokens, 4);
  EXPECT_NEAR(result.mean_nll, mean, 1e-6);
  EXPECT_NEAR(result.mean_nll_stderr, deviation / 2, 1e-6);
  EXPECT_NEAR(result.perplexity_stderr, std::exp(mean) * deviation / 2, 1e-5);
  // Scored: 1, 3, 0, 2 with 2 + 4 + 1 + 3 bytes.
  EXPECT_NEAR(result.bits_per_byte.value(), 4 * mean / std::numbers::ln2 / 10, 1e-6);
}

TEST(Perplexity, LimitsTheTokens) {
  FakeScorer scorer(4, 16, 16, uniform_four);
  PerplexityOptions options;
  options.limit_tokens = 11;
  EXPECT_EQ(measure_perplexity(scorer, cycle(100), options).tokens, 10);
}

TEST(CompareModels, EqualModelsDoNotDiverge) {
  FakeScorer a(4, 8, 3, counting);
  FakeScorer b(4, 8, 5, counting);
  const PerplexityResult result = compare_models(a, b, cycle(30), {});
  EXPECT_EQ(result.kl_divergence_mean.value(), 0.0);
  EXPECT_EQ(result.top1_agreement.value(), 1.0);
}

TEST(CompareModels, KlDivergenceIsOfTheReferenceFromTheModel) {
  FakeScorer model(2, 8, 8, [](const auto&) { return std::vector<double>{0.25, 0.75}; });
  FakeScorer reference(2, 8, 8, [](const auto&) { return std::vector<double>{0.5, 0.5}; });
  const PerplexityResult result =
      compare_models(model, reference, std::vector<int32_t>{0, 1, 0, 1}, {});
  EXPECT_NEAR(result.kl_divergence_mean.value(), 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3.0),
              1e-6);
  // The reference ranks 0 first (equal logits, lower id), the model 1.
  EXPECT_EQ(result.top1_agreement.value(), 0.0);
}

TEST(CompareModels, NeedsOneVocabulary) {
  FakeScorer model(4, 8, 8, uniform_four);
  FakeScorer other(5, 8, 8, uniform_four);
  EXPECT_EQ(error_of([&] { compare_models(model, other, cycle(9), {}); }).code(),
            ErrorCode::kUsage);
}

TEST(Perplexity, RefusesWhatItCannotScore) {
  FakeScorer scorer(4, 8, 8, uniform_four);
  const auto code = [&](std::vector<int32_t> tokens, PerplexityOptions options) {
    return error_of([&] { measure_perplexity(scorer, tokens, options); }).code();
  };
  EXPECT_EQ(code({}, {}), ErrorCode::kBadInput);
  EXPECT_EQ(code({1}, {}), ErrorCode::kBadInput);
  EXPECT_EQ(code({1, 4}, {}), ErrorCode::kBadInput);
  EXPECT_EQ(code({1, -1}, {}), ErrorCode::kBadInput);
  PerplexityOptions options;
  options.context = 9;
  EXPECT_EQ(code({1, 2}, options), ErrorCode::kUsage);
  options.context = 1;
  EXPECT_EQ(code({1, 2}, options), ErrorCode::kUsage);
  options = {};
  options.stride = 9;
  EXPECT_EQ(code({1, 2}, options), ErrorCode::kUsage);
  options.stride = -1;
  EXPECT_EQ(code({1, 2}, options), ErrorCode::kUsage);
}

TEST(Perplexity, ReportsLogitsThatAreNotFinite) {
  FakeScorer scorer(2, 8, 8, [](const std::vector<int32_t>& seen) {
    const double p = seen.size() < 3 ? 0.5 : std::numeric_limits<double>::quiet_NaN();
    return std::vector<double>{0.5, p};
  });
  const Error error = error_of([&] {
    measure_perplexity(scorer, std::vector<int32_t>{0, 1, 0, 1, 0}, {});
  });
  EXPECT_EQ(error.code(), ErrorCode::kBadInput);
  EXPECT_NE(std::string(error.what()).find("token 3"), std::string::npos) << error.what();
}

TEST(Perplexity, StopsWhenAskedAndReportsProgress) {
  FakeScorer scorer(4, 4, 4, uniform_four);
  std::atomic<bool> stop{false};
  PerplexityOptions options;
  options.stop = &stop;
  int64_t last_done = 0;
  options.progress = [&](int64_t done, int64_t total, double mean_nll) {
    EXPECT_GT(done, last_done);
    EXPECT_EQ(total, 15);
    EXPECT_NEAR(mean_nll, std::log(4.0), 1e-6);
    last_done = done;
    stop = done >= 6;
  };
  EXPECT_EQ(error_of([&] { measure_perplexity(scorer, cycle(20), options); }).code(),
            ErrorCode::kInterrupted);
  EXPECT_EQ(last_done, 6);
}

}  // namespace
}  // namespace tercet
