// SPDX-License-Identifier: Apache-2.0
#include "runtime/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/error.h"
#include "model/test_models.h"

namespace tercet {
namespace {

class EngineTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const testing::TemporaryDirectory folder;
    const ModelConfig config = test::tiny_b158_config();
    test::write_hf_model(folder.path(), config, test::random_weights(config, 3));
    model_ = std::make_unique<Model>(Model::load(folder.path()));
  }
  static void TearDownTestSuite() { model_.reset(); }

  static const Model& model() { return *model_; }
  static Engine make_engine(int threads = 1, int64_t context = 0) {
    return Engine(model(), select_kernels(""), {.threads = threads, .context = context});
  }
  static GenerateOptions greedy(int64_t max_tokens) {
    GenerateOptions options;
    options.max_tokens = max_tokens;
    options.sampler.temperature = 0;
    return options;
  }
  static std::vector<int32_t> generate(Engine& engine, const std::vector<int32_t>& prompt,
                                       const GenerateOptions& options) {
    std::vector<int32_t> tokens;
    engine.generate(prompt, options, [&](int32_t token) {
      tokens.push_back(token);
      return true;
    });
    return tokens;
  }
  template <typename Call>
  static ErrorCode code_of(const Call& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return ErrorCode::kInternal;
  }

 private:
  static std::unique_ptr<Model> model_;
};

std::unique_ptr<Model> EngineTest::model_;

TEST_F(EngineTest, GreedyTokensAreTheBestOfTheWholeForward) {
  // 70 tokens: the prompt takes more than one chunk.
  const std::vector<int32_t> prompt = test::random_tokens(model().config(), 70, 1);
  Engine engine = make_engine();
  const std::vector<int32_t> generated = generate(engine, prompt, greedy(12));
  ASSERT_EQ(generated.size(), 12u);

  std::vector<int32_t> all = prompt;
  all.insert(all.end(), generated.begin(), generated.end());
  ThreadPool pool(1);
  const std::vector<float> logits = test::logits_of(model(), all, pool);
  const auto vocab = static_cast<size_t>(model().config().vocab_size);
  for (size_t i = 0; i < generated.size(); ++i) {
    const auto row = std::span(logits).subspan((prompt.size() - 1 + i) * vocab, vocab);
    EXPECT_EQ(generated[i], greedy_token(row)) << i;
  }
}

TEST_F(EngineTest, DoesNotDependOnThreadsOrOnWhatRanBefore) {
  const std::vector<int32_t> prompt = test::random_tokens(model().config(), 9, 2);
  GenerateOptions options = greedy(20);
  options.sampler.temperature = 1.0;
  options.sampler.seed = 4;
  Engine one = make_engine(1);
  Engine three = make_engine(3);
  const std::vector<int32_t> expected = generate(one, prompt, options);
  EXPECT_EQ(generate(three, prompt, options), expected);
  generate(one, test::random_tokens(model().config(), 30, 5), options);
  EXPECT_EQ(generate(one, prompt, options), expected);
}

TEST_F(EngineTest, StopsAtAStopToken) {
  const std::vector<int32_t> prompt = test::random_tokens(model().config(), 5, 6);
  Engine engine = make_engine();
  const std::vector<int32_t> all = generate(engine, prompt, greedy(10));
  GenerateOptions options = greedy(10);
  options.stop_ids = {-1, all[3]};
  std::vector<int32_t> seen;
  const GenerateStats stats = engine.generate(prompt, options, [&](int32_t token) {
    seen.push_back(token);
    return true;
  });
  const auto first = std::find(all.begin(), all.end(), all[3]);
  EXPECT_EQ(seen, std::vector<int32_t>(all.begin(), first));
  EXPECT_EQ(stats.reason, StopReason::kStopToken);
  EXPECT_EQ(stats.generated_tokens, std::ssize(seen));
}

TEST_F(EngineTest, StopsForTheCallbackAndTheFlag) {
  const std::vector<int32_t> prompt = test::random_tokens(model().config(), 5, 6);
  Engine engine = make_engine();
  int calls = 0;
  GenerateStats stats = engine.generate(prompt, greedy(10), [&](int32_t) { return ++calls < 3; });
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(stats.reason, StopReason::kCallback);

  std::atomic<bool> stop{false};
  GenerateOptions options = greedy(10);
  options.stop = &stop;
  calls = 0;
  stats = engine.generate(prompt, options, [&](int32_t) {
    stop = ++calls == 4;
    return true;
  });
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(stats.reason, StopReason::kInterrupted);

  stats = engine.generate(prompt, options, [](int32_t) { return true; });
  EXPECT_EQ(stats.reason, StopReason::kInterrupted);
  EXPECT_EQ(stats.generated_tokens, 0);
}

TEST_F(EngineTest, FillsTheContextExactlyAndRefusesMore) {
  const std::vector<int32_t> prompt = test::random_tokens(model().config(), 6, 7);
  Engine engine = make_engine(1, 10);
  EXPECT_EQ(generate(engine, prompt, greedy(4)).size(), 4u);
  EXPECT_EQ(code_of([&] { generate(engine, prompt, greedy(5)); }), ErrorCode::kUsage);
  EXPECT_EQ(code_of([&] { generate(engine, prompt, greedy(INT64_MAX)); }), ErrorCode::kUsage);
  EXPECT_EQ(code_of([&] { generate(engine, prompt, greedy(0)); }), ErrorCode::kUsage);
  EXPECT_EQ(code_of([&] { generate(engine, {}, greedy(4)); }), ErrorCode::kUsage);
  EXPECT_EQ(code_of([&] { generate(engine, {97}, greedy(4)); }), ErrorCode::kBadInput);
  EXPECT_EQ(code_of([&] { make_engine(0); }), ErrorCode::kUsage);
  EXPECT_EQ(code_of([&] { make_engine(1, 129); }), ErrorCode::kUsage);
}

TEST_F(EngineTest, TimesWhatItDoes) {
  Engine engine = make_engine();
  const GenerateStats stats = engine.generate(test::random_tokens(model().config(), 5, 6),
                                              greedy(10), [](int32_t) { return true; });
  EXPECT_EQ(stats.prompt_tokens, 5);
  EXPECT_EQ(stats.generated_tokens, 10);
  EXPECT_EQ(stats.reason, StopReason::kMaxTokens);
  EXPECT_GT(stats.prompt_seconds, 0.0);
  EXPECT_GE(stats.first_token_seconds, stats.prompt_seconds);
  EXPECT_GT(stats.generated_tokens_per_s(), 0.0);
}

// What a conversation does: each prompt begins with the one before and its answer.
TEST_F(EngineTest, ReusedContextGivesTheSameTokens) {
  std::vector<int32_t> prompt = test::random_tokens(model().config(), 40, 5);
  Engine reusing = make_engine();
  GenerateOptions options = greedy(6);
  options.reuse_context = true;
  const auto stats_of = [&](const std::vector<int32_t>& tokens) {
    std::vector<int32_t> generated;
    const GenerateStats stats = reusing.generate(tokens, options, [&](int32_t token) {
      generated.push_back(token);
      return true;
    });
    Engine fresh = make_engine();
    EXPECT_EQ(generated, generate(fresh, tokens, greedy(6)));
    EXPECT_EQ(stats.prompt_tokens, std::ssize(tokens));
    prompt = tokens;
    prompt.insert(prompt.end(), generated.begin(), generated.end());
    return stats;
  };
  EXPECT_EQ(stats_of(prompt).reused_tokens, 0);
  // The last token that was generated has not been read.
  prompt.push_back(7);
  EXPECT_EQ(stats_of(prompt).reused_tokens, 45);
  // The same again: the last token is read for its logits.
  std::vector<int32_t> again(prompt.begin(), prompt.end() - 6);
  EXPECT_EQ(stats_of(again).reused_tokens, std::ssize(again) - 1);
  again[10] = (again[10] + 1) % 5;
  EXPECT_EQ(stats_of(again).reused_tokens, 10);
  again[0] = (again[0] + 1) % 5;
  EXPECT_EQ(stats_of(again).reused_tokens, 0);
  // Shorter than what is held.
  again.resize(20);
  EXPECT_EQ(stats_of(again).reused_tokens, 19);
}

}  // namespace
}  // namespace tercet
