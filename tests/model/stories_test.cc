// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "model/forward.h"

namespace tercet::test {
namespace {

namespace fs = std::filesystem;

// Of transformers in f32 (logits and sums in f64) on the first ten stories of tinystories_a.txt,
// each stripped, with BOS in front, cut at 512 tokens: 3645 predicted tokens.
constexpr double kMeanNll = 1.2862252686510347;
constexpr int64_t kPredicted = 3645;
constexpr size_t kStories = 10;
constexpr size_t kContext = 512;

std::vector<std::string> first_stories(const fs::path& file) {
  const std::string separator = "<|endoftext|>";
  const std::string text = read_text_file(file, uint64_t{64} << 20);
  std::vector<std::string> stories;
  for (size_t start = 0; stories.size() < kStories && start < text.size();) {
    const size_t end = std::min(text.find(separator, start), text.size());
    const std::string story = text.substr(start, end - start);
    const size_t first = story.find_first_not_of(" \n\r\t");
    const size_t last = story.find_last_not_of(" \n\r\t");
    if (first != std::string::npos) stories.push_back(story.substr(first, last - first + 1));
    start = end + separator.size();
  }
  return stories;
}

double nll(std::span<const float> logits, int32_t target) {
  double largest = logits[0];
  for (const float logit : logits) largest = std::max(largest, static_cast<double>(logit));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum) - static_cast<double>(logits[static_cast<size_t>(target)]);
}

TEST(StoriesTest, PerplexityOfARealModelIsThatOfTransformers) {
  const fs::path data = fs::path(TERCET_SOURCE_DIR) / "../shared/data";
  const fs::path directory = data / "models/stories260K";
  const fs::path text = data / "lm/tinystories/tinystories_a.txt";
  for (const fs::path& needed : {directory, text}) {
    if (!fs::exists(needed)) GTEST_SKIP() << "there is no " << needed << "; nothing compared";
  }

  const Model model = Model::load(directory);
  ASSERT_NE(model.tokenizer(), nullptr) << model.tokenizer_note();
  const size_t vocabulary = static_cast<size_t>(model.config().vocab_size);
  ThreadPool pool(2);
  Forward forward(model, select_kernels(""), pool);
  double total = 0;
  int64_t predicted = 0;
  for (const std::string& story : first_stories(text)) {
    std::vector<int32_t> tokens = {model.config().bos_token_id};
    const std::vector<int32_t> ids = model.tokenizer()->encode(story);
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    tokens.resize(std::min(tokens.size(), kContext));
    KvCache cache(model.config(), static_cast<int64_t>(tokens.size()));
    std::vector<float> logits(tokens.size() * vocabulary);
    forward.run(tokens, cache, logits, LogitsFor::kAll);
    for (size_t t = 0; t + 1 < tokens.size(); ++t) {
      total += nll(std::span(logits).subspan(t * vocabulary, vocabulary), tokens[t + 1]);
    }
    predicted += static_cast<int64_t>(tokens.size()) - 1;
  }
  EXPECT_EQ(predicted, kPredicted);
  EXPECT_NEAR(total / static_cast<double>(predicted), kMeanNll, 1e-5);
}

}  // namespace
}  // namespace tercet::test
