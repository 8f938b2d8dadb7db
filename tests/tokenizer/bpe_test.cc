// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/bpe.h"

#include "tokenizer/support.h"
#include "tokenizer/utf8.h"

namespace tercet {
namespace {

using testing::SpecBuilder;

using Ids = std::vector<int32_t>;

// The definition, word for word: look at all pairs, merge the best, begin again.
Ids reference_encode(const Vocabulary& vocabulary, const std::string& text) {
  std::vector<std::string> parts;
  for (std::string_view rest = text; !rest.empty();) {
    size_t length = vocabulary.match_user_defined(rest);
    const bool fixed = length != 0;
    if (!fixed) length = utf8_prefix(rest).length;
    parts.push_back((fixed ? "!" : " ") + std::string(rest.substr(0, length)));
    rest.remove_prefix(length);
  }
  while (true) {
    size_t best = parts.size();
    float best_score = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      if (parts[i][0] == '!' || parts[i + 1][0] == '!') continue;
      const int32_t id = vocabulary.find(parts[i].substr(1) + parts[i + 1].substr(1));
      if (id < 0 || (best != parts.size() && vocabulary.piece(id).score <= best_score)) continue;
      best = i;
      best_score = vocabulary.piece(id).score;
    }
    if (best == parts.size()) break;
    parts[best] += parts[best + 1].substr(1);
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Ids ids;
  for (const std::string& part : parts) {
    const int32_t id = vocabulary.find(part.substr(1));
    if (id >= 0) ids.push_back(id);
    for (const char c : id < 0 ? part.substr(1) : "") {
      ids.push_back(vocabulary.byte_id(static_cast<uint8_t>(c)));
    }
  }
  return ids;
}

const std::vector<std::string> kAlphabet = {"a", "b", "c", "\u2581", "\u00e9", "\U0001F600"};

std::string random_text(Rng& rng, size_t characters) {
  std::string out;
  for (size_t i = 0; i < characters; ++i) out += kAlphabet[rng.below(kAlphabet.size())];
  return out;
}

// Few distinct scores, so that ties are common.
TokenizerSpec random_spec(Rng& rng, bool inner_spaces) {
  SpecBuilder builder;
  for (int i = 0; i < 60; ++i) {
    std::string text = random_text(rng, 1 + rng.below(4));
    if (!inner_spaces) {
      size_t at = 0;
      while ((at = text.find(kSpaceSymbol)) != std::string::npos) text.erase(at, 3);
      if (rng.below(2) == 0) text.insert(0, kSpaceSymbol);
      if (text.empty()) continue;
    }
    const PieceType type = rng.below(12) == 0 ? PieceType::kUserDefined : PieceType::kNormal;
    builder.add(text, type, -static_cast<float>(rng.below(20)));
  }
  return builder.spec();
}

class RandomVocabularies : public ::testing::TestWithParam<bool> {};

TEST_P(RandomVocabularies, EncodeAsTheDefinitionSays) {
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    const Vocabulary vocabulary(random_spec(rng, GetParam()));
    EXPECT_TRUE(GetParam() || vocabulary.words_are_independent());
    // Past 1024 bytes words come from the cache.
    for (const size_t characters : {1u, 2u, 7u, 60u, 700u}) {
      const std::string text = random_text(rng, characters);
      if (characters == 700 && round % 20 != 0) continue;
      ASSERT_EQ(bpe_encode(vocabulary, text), reference_encode(vocabulary, text)) << text;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Bpe, RandomVocabularies, ::testing::Values(false, true));

TEST(Bpe, HigherScoreFirstThenLeftmost) {
  SpecBuilder builder;
  builder.add("a").add("b").add("ab").add("ba").add("aa");
  const Vocabulary vocabulary(builder.spec());
  const auto id = [&](const char* text) { return vocabulary.find(text); };
  EXPECT_EQ(bpe_encode(vocabulary, "bab"), (Ids{id("b"), id("ab")}));
  EXPECT_EQ(bpe_encode(vocabulary, "aaa"), (Ids{id("aa"), id("a")}));
}

TEST(Bpe, UnusedPiecesAreStepsButNotResults) {
  SpecBuilder builder;
  builder.add("a").add("b").add("c").add("ab", PieceType::kUnused).add("abc");
  const Vocabulary vocabulary(builder.spec());
  const auto id = [&](const char* text) { return vocabulary.find(text); };
  EXPECT_EQ(bpe_encode(vocabulary, "abc"), (Ids{id("abc")}));
  EXPECT_EQ(bpe_encode(vocabulary, "abb"), (Ids{id("a"), id("b"), id("b")}));
}

TEST(Bpe, LongestUserDefinedPieceWins) {
  SpecBuilder builder;
  builder.add("a").add("\n", PieceType::kUserDefined).add("\n\n", PieceType::kUserDefined);
  const Vocabulary vocabulary(builder.spec());
  const int32_t one = vocabulary.find("\n");
  const int32_t two = vocabulary.find("\n\n");
  EXPECT_EQ(bpe_encode(vocabulary, "\n\n\n\n\n"), (Ids{two, two, one}));
}

TEST(Bpe, UnknownCharactersBecomeTheirBytesOrOneUnknown) {
  const Vocabulary with_bytes(SpecBuilder().add("a").spec());
  EXPECT_EQ(bpe_encode(with_bytes, "\u00e9"),
            (Ids{with_bytes.byte_id(0xC3), with_bytes.byte_id(0xA9)}));
  EXPECT_EQ(bpe_encode(with_bytes, "\xFF\xC3"),
            (Ids{with_bytes.byte_id(0xFF), with_bytes.byte_id(0xC3)}));
  const Vocabulary without(SpecBuilder(false).add("a").spec());
  EXPECT_EQ(bpe_encode(without, "\u00e9\u00e9a\u00e9"), (Ids{0, without.find("a"), 0}));
}

// A quadratic encoder would run into the time limit of the test program here.
TEST(Bpe, ALongTextWithoutSpacesIsNotQuadratic) {
  SpecBuilder builder;
  std::string piece = "a";
  for (int i = 0; i < 7; ++i) {
    builder.add(piece);
    piece += piece;
  }
  const Vocabulary vocabulary(builder.spec());
  const Ids ids = bpe_encode(vocabulary, std::string(1 << 18, 'a'));
  EXPECT_EQ(ids.size(), (1u << 18) / 64);
}

}  // namespace
}  // namespace tercet
