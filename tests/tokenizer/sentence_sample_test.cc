// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/sentence_sample.h"

#include <gtest/gtest.h>

#include "fmt/format.h"

namespace tercet {
namespace {

using Sentences = std::vector<std::string>;

constexpr uint64_t kPlenty = 1 << 20;

TEST(SentenceSample, TakesLinesAndKeepsTheirSpaces) {
  SentenceSample sample(kPlenty, kPlenty, 0);
  sample.add("one\n\n  two \r\nthree\tx");
  EXPECT_EQ(sample.sentences(), (Sentences{"one", "  two ", "three\tx"}));
  EXPECT_EQ(sample.bytes(), 3u + 6u + 7u);
}

TEST(SentenceSample, LeavesOutWhatIsNotUtf8) {
  SentenceSample sample(kPlenty, kPlenty, 0);
  sample.add(
      "a\xFF"
      "b\xE4\xB8\n\xC3\n\u4e2d");
  EXPECT_EQ(sample.sentences(), (Sentences{"ab", "\u4e2d"}));
}

TEST(SentenceSample, CutsLongLinesBetweenWordsElseCharacters) {
  SentenceSample words(kPlenty, kPlenty, 0);
  std::string line;
  for (int i = 0; i < 2000; ++i) line += "word ";
  words.add(line);
  std::string joined;
  for (const std::string& sentence : words.sentences()) {
    EXPECT_LE(sentence.size(), 4096u);
    EXPECT_TRUE(joined.empty() || sentence[0] == ' ');
    joined += sentence;
  }
  EXPECT_EQ(joined, line);

  SentenceSample characters(kPlenty, kPlenty, 0);
  line.clear();
  for (int i = 0; i < 3000; ++i) line += "\u4e2d";
  characters.add(line);
  joined.clear();
  for (const std::string& sentence : characters.sentences()) {
    EXPECT_LE(sentence.size(), 4096u);
    EXPECT_EQ(sentence.size() % 3, 0u);
    joined += sentence;
  }
  EXPECT_EQ(joined, line);
}

TEST(SentenceSample, StaysInItsBoundsAndDrawsFromEverywhere) {
  constexpr int kSentences = 100'000;
  constexpr uint64_t kMaxBytes = 20'000;
  SentenceSample by_bytes(kMaxBytes, kPlenty, 1);
  SentenceSample by_count(kPlenty, 1000, 1);
  for (int i = 0; i < kSentences; ++i) {
    by_bytes.add(fmt::format("{:06}", i));
    by_count.add(fmt::format("{:06}", i));
    ASSERT_LE(by_bytes.bytes(), kMaxBytes);
    ASSERT_LE(by_count.sentences().size(), 1000u);
  }
  for (const SentenceSample* sample : {&by_bytes, &by_count}) {
    const Sentences& kept = sample->sentences();
    EXPECT_GT(kept.size(), 700u);  // of at most 1000 and 3333: the threshold falls in small steps
    EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end()));
    double mean = 0;
    for (const std::string& sentence : kept) mean += std::stod(sentence);
    mean /= static_cast<double>(kept.size());
    // Four standard errors of the mean of 700 uniform draws.
    EXPECT_NEAR(mean, kSentences / 2, 4 * kSentences / 3.46 / 26);
  }
}

}  // namespace
}  // namespace tercet
