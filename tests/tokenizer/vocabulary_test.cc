// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/vocabulary.h"

#include <limits>
#include <set>

#include "tokenizer/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::SpecBuilder;

void expect_refused(const TokenizerSpec& spec, const std::string& text) {
  expect_error(ErrorCode::kBadInput, text, [&] { Vocabulary vocabulary(spec); });
}

TEST(Vocabulary, RefusesWhatCannotBe) {
  TokenizerSpec spec = SpecBuilder().spec();
  spec.pieces.clear();
  expect_refused(spec, "0 pieces");
  spec = SpecBuilder().add("a", PieceType::kNormal, std::numeric_limits<float>::quiet_NaN()).spec();
  expect_refused(spec, "score of piece 259");
}

TEST(Vocabulary, RefusesIdsOutsideTheTable) {
  for (const int64_t id : {int64_t{259}, int64_t{-2}, INT64_MAX, INT64_MIN}) {
    TokenizerSpec spec = SpecBuilder().spec();
    spec.unknown_id = id;
    expect_refused(spec, "unknown id");
    spec = SpecBuilder().spec();
    spec.bos_id = id;
    expect_refused(spec, "BOS id");
    spec = SpecBuilder().spec();
    spec.eos_id = id;
    expect_refused(spec, "EOS id");
  }
}

TEST(Vocabulary, RefusesMalformedBytePieces) {
  for (const char* text :
       {"<0xg0>", "<0x4>", "<0x041>", "0x41", "<0xab>", "", "<0x4 >", "<0x41)"}) {
    TokenizerSpec spec = SpecBuilder().spec();
    spec.pieces[3 + 0xAB].text = text;
    expect_refused(spec, "byte piece 174");
  }
  TokenizerSpec twice = SpecBuilder().add("<0x41>", PieceType::kByte).spec();
  expect_refused(twice, "byte piece 259");
  TokenizerSpec missing = SpecBuilder().spec();
  missing.pieces.pop_back();
  expect_refused(missing, "255 byte pieces");
}

TEST(Vocabulary, RefusesTextsThatNothingCouldEncode) {
  TokenizerSpec spec = SpecBuilder(false).spec();
  spec.unknown_id = -1;
  expect_refused(spec, "neither byte pieces nor an unknown piece");
  spec = SpecBuilder().spec();
  spec.bos_id = -1;
  spec.add_bos = true;
  expect_refused(spec, "no BOS piece");
}

TEST(Vocabulary, FindsOnlyWhatMergingMayMake) {
  const Vocabulary vocabulary(
      SpecBuilder().add("ab").add("u", PieceType::kUnused).add("ab").add("").spec());
  EXPECT_EQ(vocabulary.find("ab"), 259);  // the first of two
  EXPECT_EQ(vocabulary.find("u"), 260);
  for (const char* text : {"<s>", "<unk>", "<0x41>", "", "abc"}) {
    EXPECT_EQ(vocabulary.find(text), -1) << text;
  }
}

TEST(Vocabulary, UserDefinedPiecesMatchAsLongAsTheyCan) {
  // "abzz" lies between "ab" and texts such as "abzzy" and "ac" in order; the first "q" is normal.
  const Vocabulary vocabulary(SpecBuilder()
                                  .add("q")
                                  .add("a", PieceType::kUserDefined)
                                  .add("abzz", PieceType::kUserDefined)
                                  .add("abm", PieceType::kUserDefined)
                                  .add("ab", PieceType::kUserDefined)
                                  .add("q", PieceType::kUserDefined)
                                  .add("\xFF\xFE", PieceType::kUserDefined)
                                  .spec());
  const std::pair<const char*, size_t> expected[] = {
      {"a", 1},    {"ab", 2},       {"abm", 3},      {"abmzz", 3},   {"abz", 2}, {"abzy", 2},
      {"abzz", 4}, {"abzzy", 4},    {"abzzz", 4},    {"ac", 1},      {"b", 0},   {"q", 0},
      {"\xFF", 0}, {"\xFF\xFE", 2}, {"\xFF\xFF", 0}, {"abl\xFF", 2}, {"aa", 1}};
  for (const auto& [text, length] : expected) {
    EXPECT_EQ(vocabulary.match_user_defined(text), length) << text;
  }
}

TEST(Vocabulary, UserDefinedPiecesMatchAsATableOfAllPrefixesSays) {
  Rng rng(5);
  const auto draw = [&rng](uint64_t longest) {
    std::string text;
    for (uint64_t left = 1 + rng.below(longest); left > 0; --left) text += "ab\xC3"[rng.below(3)];
    return text;
  };
  SpecBuilder builder;
  std::set<std::string> pieces;
  for (int i = 0; i < 60; ++i) {
    pieces.insert(draw(7));
    builder.add(*pieces.rbegin(), PieceType::kUserDefined);
  }
  for (const std::string& piece : pieces) builder.add(piece, PieceType::kUserDefined);
  const Vocabulary vocabulary(builder.spec());
  for (int i = 0; i < 2000; ++i) {
    const std::string text = draw(9);
    size_t expected = text.size();
    while (expected > 0 && !pieces.contains(text.substr(0, expected))) --expected;
    EXPECT_EQ(vocabulary.match_user_defined(text), expected) << text;
  }
}

TEST(Vocabulary, UserDefinedPiecesHaveAGreatestLength) {
  SpecBuilder builder;
  builder.add(std::string(256, 'a'), PieceType::kUserDefined);
  const Vocabulary vocabulary(builder.spec());
  EXPECT_EQ(vocabulary.match_user_defined(std::string(1000, 'a')), 256u);
  builder.add(std::string(257, 'a'), PieceType::kUserDefined);
  expect_error(ErrorCode::kUnsupported, "user-defined piece 260 has 257 bytes",
               [&] { Vocabulary refused(builder.spec()); });
}

TEST(Vocabulary, WordsDependOnEachOtherWhenAPieceHoldsAnInnerSpace) {
  EXPECT_TRUE(
      Vocabulary(SpecBuilder().add("\u2581\u2581a").add("\u2581").spec()).words_are_independent());
  EXPECT_FALSE(Vocabulary(SpecBuilder().add("a\u2581").spec()).words_are_independent());
  EXPECT_FALSE(Vocabulary(SpecBuilder().add("\u2581a\u2581b").spec()).words_are_independent());
}

}  // namespace
}  // namespace tercet
