// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer.h"

#include <sentencepiece_processor.h>

#include "tokenizer/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;
using testing::varied_texts;
using testing::write_bytes;

using Ids = std::vector<int32_t>;

class TrainedTokenizer : public ::testing::TestWithParam<bool> {
 protected:
  static void SetUpTestSuite() {
    directories_ = new TemporaryDirectory[2];
    for (const bool prefix : {false, true})
      testing::train_small(directories_[prefix].path(), prefix);
  }
  static void TearDownTestSuite() {
    delete[] directories_;
    directories_ = nullptr;
  }
  static std::filesystem::path directory() { return directories_[GetParam()].path(); }

 private:
  static TemporaryDirectory* directories_;
};

TemporaryDirectory* TrainedTokenizer::directories_ = nullptr;

INSTANTIATE_TEST_SUITE_P(DummyPrefix, TrainedTokenizer, ::testing::Values(false, true));

TEST_P(TrainedTokenizer, EncodesAsSentencePieceDoes) {
  const Tokenizer tokenizer = Tokenizer::load(directory());
  sentencepiece::SentencePieceProcessor reference;
  ASSERT_TRUE(reference.Load((directory() / "tokenizer.model").string()).ok());
  EXPECT_EQ(tokenizer.vocab_size(), reference.GetPieceSize());
  EXPECT_EQ(tokenizer.bos_id(), reference.bos_id());
  EXPECT_EQ(tokenizer.eos_id(), reference.eos_id());
  EXPECT_EQ(tokenizer.unknown_id(), reference.unk_id());
  for (const std::string& text : varied_texts()) {
    EXPECT_EQ(tokenizer.encode(text), reference.EncodeAsIds(text)) << text.substr(0, 80);
  }
}

TEST_P(TrainedTokenizer, EveryTextSurvives) {
  const Tokenizer tokenizer = Tokenizer::load(directory());
  for (const std::string& text : varied_texts()) {
    if (text.find("\u2581") != std::string::npos) continue;  // stands for a space
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  }
  Rng rng(5);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (uint64_t i = rng.below(40); i > 0; --i) bytes += static_cast<char>(rng.below(256));
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(bytes)), bytes);
  }
}

TEST_P(TrainedTokenizer, ATextInPartsGivesTheSameIds) {
  const Tokenizer tokenizer = Tokenizer::load(directory());
  const std::string text = testing::generated_text(3000, 4);
  const Ids whole = tokenizer.encode(text);
  for (size_t cut = text.find_first_of(" \n"); cut != std::string::npos;
       cut = text.find_first_of(" \n", cut + 1)) {
    if (std::string_view(" \n").find(text[cut - 1]) != std::string_view::npos) continue;
    Ids parts = tokenizer.encode(text.substr(0, cut));
    const Ids rest = tokenizer.encode_continuation(text.substr(cut));
    parts.insert(parts.end(), rest.begin(), rest.end());
    ASSERT_EQ(parts, whole) << cut;
  }
}

TEST_P(TrainedTokenizer, PromptsStartWithBosUnlessTheConfigurationSaysOtherwise) {
  TemporaryDirectory other;
  std::filesystem::copy(directory() / "tokenizer.model", other.file("tokenizer.model"));
  const auto add_bos = [&](const std::string& config) {
    write_bytes(other.file("tokenizer_config.json"), config);
    return Tokenizer::load(other.path()).add_bos();
  };
  const Tokenizer tokenizer = Tokenizer::load(other.file("tokenizer.model"));
  EXPECT_TRUE(tokenizer.add_bos());
  EXPECT_EQ(tokenizer.encode_prompt(""), Ids{tokenizer.bos_id()});
  EXPECT_FALSE(add_bos(R"({"add_bos_token": false})"));
  EXPECT_TRUE(add_bos(R"({"add_bos_token": true})"));
  EXPECT_TRUE(add_bos(R"({"add_bos_token": null})"));
  EXPECT_TRUE(add_bos("{}"));
  expect_error(ErrorCode::kBadInput, "add_bos_token", [&] { add_bos(R"({"add_bos_token": 1})"); });
  expect_error(ErrorCode::kBadInput, "tokenizer_config.json", [&] { add_bos("[]"); });
}

TEST_P(TrainedTokenizer, ControlPiecesGiveNoTextAndBadIdsAnError) {
  const Tokenizer tokenizer = Tokenizer::load(directory());
  Ids ids = tokenizer.encode("the house");
  ids.insert(ids.begin(), tokenizer.bos_id());
  ids.push_back(tokenizer.eos_id());
  EXPECT_EQ(tokenizer.decode(ids), "the house");
  for (const int32_t id : {-1, tokenizer.vocab_size(), INT32_MAX, INT32_MIN}) {
    expect_error(ErrorCode::kBadInput, "outside the vocabulary",
                 [&] { tokenizer.decode(Ids{id}); });
    expect_error(ErrorCode::kBadInput, "outside the vocabulary", [&] { tokenizer.piece(id); });
  }
}

TEST_P(TrainedTokenizer, SpecialTokensAreRecognisedOnlyOnRequest) {
  const Tokenizer tokenizer = Tokenizer::load(directory());
  EXPECT_EQ(tokenizer.find_special("</s>"), tokenizer.eos_id());
  EXPECT_EQ(tokenizer.find_special("the"), std::nullopt);
  EXPECT_EQ(tokenizer.find_special(""), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(tokenizer.bos_id()));
  EXPECT_FALSE(tokenizer.is_special(tokenizer.encode("the")[0]));
  EXPECT_FALSE(tokenizer.is_special(-1));
  EXPECT_FALSE(tokenizer.is_special(tokenizer.vocab_size()));

  Ids expected = {tokenizer.bos_id()};
  const Ids house = tokenizer.encode("the house");
  expected.insert(expected.end(), house.begin(), house.end());
  expected.push_back(tokenizer.eos_id());
  const Ids sang = tokenizer.encode(" sang <s");
  expected.insert(expected.end(), sang.begin(), sang.end());
  EXPECT_EQ(tokenizer.encode_with_special("<s>the house</s> sang <s"), expected);
  const Ids plain = tokenizer.encode("<s>the house</s>");
  EXPECT_EQ(std::count(plain.begin(), plain.end(), tokenizer.bos_id()), 0);
}

TEST(Tokenizer, MissingFilesAreNamed) {
  TemporaryDirectory directory;
  expect_error(ErrorCode::kIo, "holds neither tokenizer.json nor tokenizer.model",
               [&] { Tokenizer::load(directory.path()); });
  expect_error(ErrorCode::kIo, "absent.model",
               [&] { Tokenizer::load(directory.file("absent.model")); });
}

// A model with remove_extra_whitespaces = true, the default of its format, and one of 32000 pieces.
TEST(Tokenizer, EncodesRealModelsAsSentencePieceDoes) {
  const std::filesystem::path data = TERCET_SOURCE_DIR "/../shared/data";
  const std::filesystem::path models[] = {data / "models/stories260K/tokenizer.model",
                                          data / "tokenizers/llama2/tokenizer.model"};
  for (const std::filesystem::path& model : models) {
    if (!std::filesystem::exists(model)) GTEST_SKIP() << "not here: " << model;
    const Tokenizer tokenizer = Tokenizer::load(model);
    sentencepiece::SentencePieceProcessor reference;
    ASSERT_TRUE(reference.Load(model.string()).ok());
    for (const std::string& text : varied_texts()) {
      EXPECT_EQ(tokenizer.encode(text), reference.EncodeAsIds(text)) << text.substr(0, 80);
    }
  }
}

}  // namespace
}  // namespace tercet
