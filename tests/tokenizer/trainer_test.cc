// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/trainer.h"

#include "formats/json.h"
#include "tokenizer/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryDirectory;

// Delivers `text` in one go.
TextSource source(std::string text) {
  return [text = std::move(text), delivered = false](std::string& out) mutable {
    if (std::exchange(delivered, true)) return false;
    out = text;
    return true;
  };
}

TrainerOptions small_options() {
  TrainerOptions options;
  options.vocab_size = 400;
  options.character_coverage = 1;
  return options;
}

TEST(Trainer, MakesThePiecesThatItPromises) {
  TemporaryDirectory directory;
  const std::string text = testing::generated_text(40'000, 2);
  const TrainerStats stats =
      train_tokenizer(source(text), small_options(), directory.file("new/out"));
  EXPECT_EQ(stats.corpus_bytes, text.size());
  EXPECT_LT(stats.sample_bytes, text.size());  // line ends are not part of sentences
  const Tokenizer tokenizer = Tokenizer::load(directory.file("new/out"));
  EXPECT_EQ(tokenizer.vocab_size(), 400);
  EXPECT_EQ(tokenizer.unknown_id(), 0);
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_TRUE(tokenizer.add_bos());
  EXPECT_EQ(tokenizer.encode("\n").size(), 1u);
  EXPECT_EQ(tokenizer.encode("\n\n").size(), 1u);
  EXPECT_EQ(tokenizer.encode(" light").size(), 1u);  // a word of the text
  EXPECT_EQ(tokenizer.encode("1857").size(), 4u);    // digits stand alone
}

TEST(Trainer, WritesWhatTransformersReads) {
  TemporaryDirectory directory;
  for (const bool prefix : {false, true}) {
    testing::train_small(directory.path(), prefix);
    const Json config = read_json_file(directory.file("tokenizer_config.json"));
    EXPECT_EQ(config.at("tokenizer_class"), "LlamaTokenizer");
    EXPECT_EQ(config.at("add_bos_token"), true);
    EXPECT_EQ(config.at("add_eos_token"), false);
    EXPECT_EQ(config.at("add_prefix_space"), prefix);
    EXPECT_EQ(config.at("legacy"), false);
    const Json special = read_json_file(directory.file("special_tokens_map.json"));
    EXPECT_EQ(special.at("bos_token"), "<s>");
    EXPECT_EQ(special.at("eos_token"), "</s>");
    EXPECT_EQ(special.at("unk_token"), "<unk>");
  }
}

TEST(Trainer, IsTheSameWithAnyNumberOfThreads) {
  TemporaryDirectory directory;
  std::string models[2];
  for (const int threads : {1, 3}) {
    TrainerOptions options = small_options();
    options.threads = threads;
    options.max_sample_bytes = 20'000;
    train_tokenizer(source(testing::generated_text(40'000, 2)), options, directory.path());
    // The pieces; the settings in the file name the number of threads.
    const Tokenizer tokenizer = Tokenizer::load(directory.path());
    for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
      models[threads / 3] += tokenizer.piece(id).text + '\n';
    }
  }
  EXPECT_EQ(models[0], models[1]);
}

TEST(Trainer, SaysWhichVocabularySizesArePossible) {
  TemporaryDirectory directory;
  const auto train = [&](const std::string& text, int32_t vocab_size) {
    TrainerOptions options = small_options();
    options.vocab_size = vocab_size;
    train_tokenizer(source(text), options, directory.path());
  };
  // 3 special, 256 byte, 2 line end pieces; the characters "helo " and the merges of "hello".
  expect_error(ErrorCode::kUsage, "choose at most", [&] { train("hello hello", 5000); });
  expect_error(ErrorCode::kUsage, "choose at least", [&] { train("hello hello", 100); });
  expect_error(ErrorCode::kUsage, "vocabulary of 0", [&] { train("hello hello", 0); });
  expect_error(ErrorCode::kUsage, "vocabulary of -7", [&] { train("hello hello", -7); });
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(Trainer, TheSizesThatItNamesWork) {
  TemporaryDirectory directory;
  TrainerOptions options = small_options();
  for (const int32_t impossible : {5000, 10}) {
    options.vocab_size = impossible;
    std::string message;
    try {
      train_tokenizer(source("hello hello"), options, directory.path());
    } catch (const Error& error) {
      message = error.what();
    }
    const size_t number = message.find_first_of("0123456789", message.find("choose at"));
    ASSERT_NE(number, std::string::npos) << message;
    options.vocab_size = std::stoi(message.substr(number));
    EXPECT_NO_THROW(train_tokenizer(source("hello hello"), options, directory.path()));
  }
}

TEST(Trainer, RefusesACorpusWithoutText) {
  TemporaryDirectory directory;
  for (const char* text : {"", "\n\n\r\n", "\xFF\xFE"}) {
    expect_error(ErrorCode::kBadInput, "no text",
                 [&] { train_tokenizer(source(text), small_options(), directory.path()); });
  }
  TrainerOptions options = small_options();
  for (const double coverage : {0.0, -1.0, 1.5}) {
    options.character_coverage = coverage;
    expect_error(ErrorCode::kUsage, "coverage",
                 [&] { train_tokenizer(source("x"), options, directory.path()); });
  }
}

}  // namespace
}  // namespace tercet
