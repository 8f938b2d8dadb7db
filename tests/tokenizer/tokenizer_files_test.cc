// SPDX-License-Identifier: Apache-2.0
// Vocabularies of GGUF files and SentencePiece models as tokenizer.json.
#include "tokenizer/tokenizer_files.h"

#include <algorithm>
#include <functional>

#include "formats/gguf.h"
#include "formats/json.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/score_merges.h"
#include "tokenizer/support.h"
#include "tokenizer/utf8.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::SpecBuilder;
using testing::TemporaryDirectory;
using Ids = std::vector<int32_t>;

class TokenizerFiles : public ::testing::Test {
 protected:
  // The tokenizer of a GGUF file with this vocabulary.
  Tokenizer from_gguf(const TokenizerSpec& spec,
                      const std::function<void(GgufWriter&)>& change = {}) const {
    GgufWriter writer(directory_.file("a.gguf"));
    write_gguf_vocabulary(spec, writer);
    if (change) change(writer);
    writer.finish();
    return Tokenizer::from_gguf(GgufFile(directory_.file("a.gguf")));
  }
  Tokenizer written(const Tokenizer& tokenizer) const {
    tokenizer.write_files(directory_.path());
    return Tokenizer::load(directory_.path());
  }
  void expect_refused(const std::string& text, const TokenizerSpec& spec) const {
    const Tokenizer tokenizer = from_gguf(spec);
    expect_error(ErrorCode::kUnsupported, text, [&] { tokenizer.write_files(directory_.path()); });
  }
  Json config() const { return read_json_file(directory_.file("tokenizer_config.json")); }

  TemporaryDirectory directory_;
};

TEST_F(TokenizerFiles, ATrainedVocabularyGivesTheSameIds) {
  testing::train_small(directory_.path());
  const Tokenizer tokenizer = Tokenizer::load(directory_.file("tokenizer.model"));
  const Tokenizer again = written(tokenizer);
  EXPECT_EQ(again.vocab_size(), tokenizer.vocab_size());
  EXPECT_EQ(again.end_ids(), tokenizer.end_ids());
  EXPECT_TRUE(again.add_bos());
  for (const std::string& text : testing::varied_texts()) {
    EXPECT_EQ(again.encode(text), tokenizer.encode(text)) << text.substr(0, 80);
    EXPECT_EQ(again.encode_continuation(text), tokenizer.encode_continuation(text));
    EXPECT_EQ(again.encode_prompt(text), tokenizer.encode_prompt(text));
    const Ids ids = tokenizer.encode_with_special(text);
    EXPECT_EQ(again.encode_with_special(text), ids) << text.substr(0, 80);
    if (text.find("<unk>") != std::string::npos) continue;  // SentencePiece shows it
    EXPECT_EQ(again.decode(ids), tokenizer.decode(ids)) << text.substr(0, 80);
  }
}

// Pieces of any text and score over few characters, so that merges compete all the time.
TEST_F(TokenizerFiles, MergesKeepTheOrderOfTheScores) {
  Rng rng(3);
  const std::string alphabet[] = {"a", "b", "c", std::string(kSpaceSymbol)};
  const auto random_text = [&](size_t characters) {
    std::string text;
    for (size_t i = 0; i < characters; ++i) text += alphabet[rng.below(4)];
    return text;
  };
  for (int round = 0; round < 20; ++round) {
    SpecBuilder builder;
    for (const std::string& character : alphabet) builder.add(character);
    std::vector<std::string> seen(std::begin(alphabet), std::end(alphabet));
    for (int i = 0; i < 40; ++i) {
      const std::string text = random_text(2 + rng.below(4));
      if (std::find(seen.begin(), seen.end(), text) != seen.end()) continue;
      seen.push_back(text);
      builder.add(text, PieceType::kNormal, -static_cast<float>(rng.below(1 << 20)));
    }
    builder.spec().add_dummy_prefix = rng.below(2) == 0;
    const Tokenizer tokenizer = from_gguf(builder.spec());
    const Tokenizer again = written(tokenizer);
    for (int line = 0; line < 50; ++line) {
      const std::string text = random_text(1 + rng.below(40));
      ASSERT_EQ(again.encode(text), tokenizer.encode(text)) << text;
    }
  }
}

TEST_F(TokenizerFiles, RunsOfOneCharacterMayShareAScore) {
  SpecBuilder builder;
  builder.add("a").add("b").add("ab", PieceType::kNormal, -1);
  for (const size_t length : {2u, 4u}) builder.add(std::string(length, 'a'));
  for (const size_t length : {3u, 5u, 6u, 7u}) {
    builder.add(std::string(length, 'a'), PieceType::kNormal, -1e9f);
  }
  builder.spec().add_dummy_prefix = false;
  const Tokenizer tokenizer = from_gguf(builder.spec());
  const Tokenizer again = written(tokenizer);
  for (size_t length = 1; length < 40; ++length) {
    for (const char* end : {"", "b"}) {
      const std::string text = std::string(length, 'a') + end;
      EXPECT_EQ(again.encode(text), tokenizer.encode(text)) << text;
    }
  }
}

// llama.cpp's files write them with spaces.
TEST_F(TokenizerFiles, UserDefinedPiecesOfSpacesAreFound) {
  SpecBuilder builder;
  builder.add("a").add(std::string(kSpaceSymbol)).add("\u2581\u2581a");
  builder.add("\u2581\u2581", PieceType::kUserDefined);
  builder.spec().add_dummy_prefix = false;
  const Tokenizer tokenizer = from_gguf(builder.spec());
  const int32_t id = tokenizer.vocab_size() - 1;
  EXPECT_EQ(GgufFile(directory_.file("a.gguf")).strings("tokenizer.ggml.tokens").back(), "  ");
  EXPECT_EQ(tokenizer.encode("a   a"), (Ids{id - 3, id, id - 2, id - 3}));
  const Tokenizer again = written(tokenizer);
  for (const std::string text : {"a   a", "  a", "a  ", "a a", "  ", "    a"}) {
    EXPECT_EQ(again.encode(text), tokenizer.encode(text)) << text;
    EXPECT_EQ(again.decode(tokenizer.encode(text)), text);
  }
}

TEST_F(TokenizerFiles, ByteLevelVocabulariesKeepTheirTokens) {
  const std::filesystem::path source = TERCET_SOURCE_DIR "/tests/golden/tokenizers/llama3.json";
  const Tokenizer original = Tokenizer::load(source);
  GgufWriter writer(directory_.file("a.gguf"));
  original.write_gguf(writer);
  writer.set("tokenizer.ggml.padding_token_id", GgufValue::u32(3));
  writer.set("tokenizer.ggml.add_eos_token", GgufValue::boolean(true));
  writer.set("tokenizer.ggml.eos_token_id", GgufValue::u32(1));
  writer.finish();
  const Tokenizer tokenizer = Tokenizer::from_gguf(GgufFile(directory_.file("a.gguf")));
  const Tokenizer again = written(tokenizer);
  EXPECT_EQ(config()["pad_token"], tokenizer.piece(3).text);
  EXPECT_EQ(config()["eos_token"], tokenizer.piece(1).text);
  EXPECT_EQ(config()["add_eos_token"], true);
  EXPECT_EQ(again.encode_prompt("a house").back(), 1);
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    EXPECT_EQ(again.piece(id).text, tokenizer.piece(id).text);
    EXPECT_EQ(again.is_special(id), tokenizer.is_special(id));
  }
  for (const std::string& text : testing::varied_texts()) {
    EXPECT_EQ(again.encode_prompt(text), tokenizer.encode_prompt(text)) << text.substr(0, 80);
  }
}

TEST_F(TokenizerFiles, SaysWhichPartCannotBeWritten) {
  const auto vocabulary = [] { return SpecBuilder().add("a").add("b").add("c"); };
  expect_refused("unused piece 262 ('ab')", vocabulary().add("ab", PieceType::kUnused).spec());
  expect_refused("joins 'x', which is no piece", vocabulary().add("ax").spec());
  expect_refused(
      "263 ('ab') and 262 ('bc') have the same score",
      vocabulary().add("bc", PieceType::kNormal, -5).add("ab", PieceType::kNormal, -5).spec());
  expect_refused("user-defined piece 262 ('<x>')",
                 vocabulary().add("<x>", PieceType::kUserDefined).spec());
  expect_refused("piece 262 ('?') is not UTF-8", vocabulary().add("\xFF").spec());
  expect_refused("'a' of piece 262 is another piece's", vocabulary().add("a").spec());
  expect_refused("piece 262 has 513 bytes", vocabulary().add(std::string(513, 'a')).spec());
  SpecBuilder dropping = vocabulary();
  dropping.spec().remove_extra_whitespaces = true;
  expect_refused("drops repeated spaces", dropping.spec());
}

// Characters outside the vocabulary, without byte pieces to say them.
TEST_F(TokenizerFiles, UnknownCharactersStayUnknown) {
  SpecBuilder builder(false);
  builder.add("a").add(std::string(kSpaceSymbol)).add("\u2581a");
  const Tokenizer tokenizer = from_gguf(builder.spec());
  const Tokenizer again = written(tokenizer);
  for (const std::string text : {"xyz", "a xyz a", "xaxxa", ""}) {
    EXPECT_EQ(again.encode(text), tokenizer.encode(text)) << text;
  }
}

}  // namespace
}  // namespace tercet
