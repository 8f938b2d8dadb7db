// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/word_scanner.h"

#include <gtest/gtest.h>

#include "core/rng.h"
#include "tokenizer/regex.h"

namespace tercet {
namespace {

using Words = std::vector<std::string>;

Words words_of_scanner(const WordScanner& scanner, std::string_view text) {
  Words words;
  while (!text.empty()) {
    words.emplace_back(text.substr(0, scanner.next(text)));
    text.remove_prefix(words.back().size());
  }
  return words;
}

Words words_of_regex(const Regex& regex, std::string_view text) {
  Words words;
  RegexSearch search(regex, text);
  while (const auto match = search.next()) {
    words.emplace_back(text.substr(match->begin, match->end - match->begin));
  }
  return words;
}

// Characters at which the alternatives of the patterns part.
std::string random_text(Rng& rng) {
  static const Words parts = {
      "a",          "S",      "t",      "\u0130", "\u4e2d", "\u00e9", "\u0663",     "1",
      "9",          "\u00bd", "\u2167", "'",      "'",      "s",      "re",         "LL",
      "\u017f",     "ve",     "d",      "M",      " ",      " ",      "  ",         "\t",
      "\n",         "\r",     "\r\n",   "\u00a0", "\u3000", "\u2028", "\u0085",     "\u180e",
      "\u200b",     "!",      "\u2026", "_",      "\u0301", "\u20ac", "=",          "\U0001F600",
      "\U00010D40", "\u1c89", "\ufffd", "\x01",   "\u0e33", "\u0bca", "\U00031350", "\U000323B0",
      "\u24b6",     "\uff11", "\u00b2", "\u2581", "\x7f",   "\u00ad", "\U0010FFFF"};
  std::string text;
  for (uint64_t i = rng.below(24); i > 0; --i) text += parts[rng.below(parts.size())];
  return text;
}

class WordScannerTest : public ::testing::TestWithParam<std::string_view> {};

INSTANTIATE_TEST_SUITE_P(Patterns, WordScannerTest,
                         ::testing::Values(kGpt2Pattern, kLlama3Pattern, kQwen2Pattern));

TEST_P(WordScannerTest, SplitsAsTheRegularExpressionDoes) {
  const auto scanner = WordScanner::for_pattern(GetParam());
  ASSERT_TRUE(scanner);
  const Regex regex(std::string(GetParam()), "test");
  Rng rng(3);
  for (int round = 0; round < 30000; ++round) {
    const std::string text = random_text(rng);
    ASSERT_EQ(words_of_scanner(*scanner, text), words_of_regex(regex, text)) << text;
  }
}

TEST_P(WordScannerTest, KnowsTheClassOfEveryCodePoint) {
  const auto scanner = WordScanner::for_pattern(GetParam());
  const Regex regex(std::string(GetParam()), "test");
  for (uint32_t code = 1; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text = "a";
    append_utf8(code, text);
    text += "1";
    ASSERT_EQ(words_of_scanner(*scanner, text), words_of_regex(regex, text)) << std::hex << code;
  }
}

TEST(WordScanner, IsForKnownPatternsOnly) {
  EXPECT_FALSE(WordScanner::for_pattern("\\p{L}+"));
  EXPECT_FALSE(WordScanner::for_pattern(""));
}

}  // namespace
}  // namespace tercet
