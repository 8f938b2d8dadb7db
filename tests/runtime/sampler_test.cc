// SPDX-License-Identifier: Apache-2.0
#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"

namespace tercet {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

// Share of each token among `draws` samples.
std::vector<double> frequencies(const SamplerOptions& options, const std::vector<float>& logits,
                                int draws) {
  Sampler sampler(options);
  std::vector<double> share(logits.size());
  for (int i = 0; i < draws; ++i) share[sampler.sample(logits)] += 1.0 / draws;
  return share;
}

// Draws until all tokens that can come have come: which those are.
std::vector<bool> support(const SamplerOptions& options, const std::vector<float>& logits) {
  std::vector<bool> seen;
  for (const double share : frequencies(options, logits, 4000)) seen.push_back(share > 0.0);
  return seen;
}

ErrorCode code_of(const SamplerOptions& options, std::string* message) {
  try {
    options.validate();
  } catch (const Error& error) {
    *message = error.what();
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

TEST(Greedy, TakesTheHighestAndTheLowestIdAmongEquals) {
  EXPECT_EQ(greedy_token(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(greedy_token(std::vector<float>{-kInf, -5, -kInf}), 1);
  SamplerOptions options;
  options.temperature = 0;
  EXPECT_EQ(Sampler(options).sample(std::vector<float>{0, 0, 7, 7}), 2);
}

TEST(Greedy, RefusesLogitsThatAreNotNumbers) {
  EXPECT_THROW(greedy_token(std::vector<float>{1, kNan}), Error);
  EXPECT_THROW(greedy_token(std::vector<float>{kNan, 1}), Error);
  EXPECT_THROW(greedy_token(std::vector<float>{kInf, 1}), Error);
  EXPECT_THROW(greedy_token(std::vector<float>{-kInf, -kInf}), Error);
  EXPECT_THROW(greedy_token(std::vector<float>{}), Error);
}

TEST(Sampler, FollowsTheDistribution) {
  const std::vector<double> expected = {0.5, 0.25, 0.15, 0.1};
  const std::vector<double> share = frequencies({}, logits_of(expected), 40000);
  // Five standard deviations of a share of one half over 40000 draws.
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(share[i], expected[i], 0.0125) << i;
}

TEST(Sampler, TemperatureIsAPowerOfTheProbabilities) {
  SamplerOptions options;
  options.temperature = 0.5;  // squares: 0.36, 0.09, 0.01 of 0.46
  const std::vector<double> share = frequencies(options, logits_of({0.6, 0.3, 0.1}), 40000);
  EXPECT_NEAR(share[0], 0.36 / 0.46, 0.0125);
  EXPECT_NEAR(share[1], 0.09 / 0.46, 0.0125);
  EXPECT_NEAR(share[2], 0.01 / 0.46, 0.0125);
}

TEST(Sampler, TopKKeepsTheBestAndBreaksTiesByLowerId) {
  SamplerOptions options;
  options.top_k = 2;
  EXPECT_EQ(support(options, {1, 5, 2, 2}), (std::vector<bool>{false, true, true, false}));
  options.top_k = 1;
  EXPECT_EQ(support(options, {3, 3, 3, 3}), (std::vector<bool>{true, false, false, false}));
  options.top_k = 100;
  EXPECT_EQ(support(options, {0, 0, 0}), (std::vector<bool>{true, true, true}));
}

TEST(Sampler, TopPKeepsTheFewestTokensThatReachIt) {
  const std::vector<float> logits = logits_of({0.1, 0.5, 0.15, 0.25});
  SamplerOptions options;
  options.top_p = 0.45;
  EXPECT_EQ(support(options, logits), (std::vector<bool>{false, true, false, false}));
  options.top_p = 0.7;
  EXPECT_EQ(support(options, logits), (std::vector<bool>{false, true, false, true}));
  options.top_p = 0.89;
  EXPECT_EQ(support(options, logits), (std::vector<bool>{false, true, true, true}));
  options.top_p = 1e-9;
  EXPECT_EQ(support(options, {2, 2, 2}), (std::vector<bool>{true, false, false}));
}

TEST(Sampler, TopPWorksOnWhatTopKLeft) {
  // Of the best two, the first holds 0.5 / 0.75 = 0.67.
  SamplerOptions options;
  options.top_k = 2;
  options.top_p = 0.6;
  EXPECT_EQ(support(options, logits_of({0.5, 0.25, 0.15, 0.1})),
            (std::vector<bool>{true, false, false, false}));
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  SamplerOptions options;
  options.min_p = 0.4;  // at least 0.2
  EXPECT_EQ(support(options, logits_of({0.5, 0.25, 0.15, 0.1})),
            (std::vector<bool>{true, true, false, false}));
  options.min_p = 1.0;
  EXPECT_EQ(support(options, logits_of({0.5, 0.25, 0.15, 0.1})),
            (std::vector<bool>{true, false, false, false}));
}

TEST(Sampler, TheFiltersComeBeforeTheTemperature) {
  SamplerOptions options;
  options.temperature = 50;  // flat, but only among what top-p left
  options.top_p = 0.7;
  const std::vector<double> share = frequencies(options, logits_of({0.5, 0.25, 0.15, 0.1}), 20000);
  EXPECT_NEAR(share[0], 0.5, 0.03);
  EXPECT_NEAR(share[1], 0.5, 0.03);
  EXPECT_EQ(share[2] + share[3], 0.0);
}

TEST(Sampler, EqualSeedsGiveEqualTokens) {
  SamplerOptions options;
  options.seed = 7;
  options.top_p = 0.95;
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 7919 % 97) / 20.0f;
  Sampler first(options);
  Sampler second(options);
  options.seed = 8;
  Sampler other(options);
  int different = 0;
  for (int i = 0; i < 50; ++i) {
    const int32_t token = first.sample(logits);
    EXPECT_EQ(token, second.sample(logits));
    different += token != other.sample(logits) ? 1 : 0;
  }
  EXPECT_GT(different, 25);
}

TEST(Sampler, SurvivesExtremeLogits) {
  Sampler sampler({});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(sampler.sample(std::vector<float>{-kInf, 3e38f, -3e38f, 0}), 1);
  }
}

TEST(SamplerOptions, ErrorsNameTheOption) {
  std::string message;
  SamplerOptions options;
  options.temperature = -0.1;
  EXPECT_EQ(code_of(options, &message), ErrorCode::kUsage);
  EXPECT_NE(message.find("--temp is -0.1"), std::string::npos) << message;
  options = {};
  options.temperature = kNan;
  EXPECT_EQ(code_of(options, &message), ErrorCode::kUsage);
  options = {};
  options.top_k = -1;
  EXPECT_EQ(code_of(options, &message), ErrorCode::kUsage);
  EXPECT_NE(message.find("--top-k"), std::string::npos) << message;
  options = {};
  options.top_p = 0.0;
  EXPECT_EQ(code_of(options, &message), ErrorCode::kUsage);
  EXPECT_NE(message.find("--top-p"), std::string::npos) << message;
  options = {};
  options.min_p = 1.5;
  EXPECT_EQ(code_of(options, &message), ErrorCode::kUsage);
  EXPECT_NE(message.find("--min-p"), std::string::npos) << message;
}

}  // namespace
}  // namespace tercet
