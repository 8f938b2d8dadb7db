// SPDX-License-Identifier: Apache-2.0
// Against what the `tokenizers` package made of the same lines
// (scripts/make_tokenizer_fixtures.py).
#include <gtest/gtest.h>

#include "core/file.h"
#include "formats/gguf.h"
#include "formats/json.h"
#include "tokenizer/support.h"

namespace tercet {
namespace {

using testing::TemporaryDirectory;
using Ids = std::vector<int32_t>;

const std::filesystem::path kFolder = TERCET_SOURCE_DIR "/tests/golden/tokenizers";

const Json& golden() {
  static const Json document = read_json_file(kFolder / "golden.json");
  return document;
}

class GoldenTokenizer : public ::testing::TestWithParam<std::string> {
 protected:
  static std::filesystem::path file() { return kFolder / (GetParam() + ".json"); }
  static const Json& expected() { return golden()["tokenizers"][GetParam()]; }

  // SentencePiece, and so the form "llama", shows unknown tokens as U+2047, the reference as
  // nothing: with `as_llama` they are left out.
  static void expect_golden(const Tokenizer& tokenizer, bool as_llama = false) {
    const Json& lines = golden()["lines"];
    for (size_t i = 0; i < lines.size(); ++i) {
      const std::string line = lines[i];
      EXPECT_EQ(tokenizer.encode(line), expected()["ids"][i].get<Ids>()) << i << " " << line;
      const Ids special = tokenizer.encode_with_special(line);
      EXPECT_EQ(special, expected()["special_ids"][i].get<Ids>()) << i << " " << line;
      const bool unknown = std::count(special.begin(), special.end(), tokenizer.unknown_id()) != 0;
      if (as_llama && unknown) continue;
      EXPECT_EQ(tokenizer.decode(special), expected()["text"][i]) << i << " " << line;
      StreamDecoder stream(tokenizer, true);
      std::string streamed;
      for (const int32_t id : special) streamed += stream.push(id);
      EXPECT_EQ(streamed + stream.finish(), expected()["text"][i]) << i << " " << line;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(All, GoldenTokenizer,
                         ::testing::Values("gpt2", "llama3", "qwen", "falcon", "starcoder",
                                           "tekken", "possessive", "sentencepiece", "byte_fallback",
                                           "metaspace_first", "metaspace_always", "everything"));

TEST_P(GoldenTokenizer, GivesTheIdsAndTextsOfTheReference) {
  const Tokenizer tokenizer = Tokenizer::load(file());
  expect_golden(tokenizer);
  EXPECT_EQ(tokenizer.encode_prompt("the house"), expected()["prompt"].get<Ids>());
}

// Through a GGUF file: as "gpt2" with a known pre-tokenizer, as "llama", or with its
// tokenizer.json.
TEST_P(GoldenTokenizer, SurvivesGguf) {
  const Tokenizer tokenizer = Tokenizer::load(file());
  TemporaryDirectory directory;
  GgufWriter writer(directory.file("a.gguf"));
  tokenizer.write_gguf(writer);
  writer.finish();
  const GgufFile gguf(directory.file("a.gguf"));
  const Tokenizer again = Tokenizer::from_gguf(gguf);
  EXPECT_EQ(again.vocab_size(), tokenizer.vocab_size());
  EXPECT_EQ(again.bos_id(), tokenizer.bos_id());
  EXPECT_EQ(again.add_bos(), tokenizer.add_bos());
  const bool as_llama = gguf.string("tokenizer.ggml.model") == "llama";
  EXPECT_EQ(as_llama, GetParam() == "sentencepiece");
  // A file "llama" that names no EOS means 2.
  EXPECT_EQ(again.eos_id(), as_llama ? 2 : tokenizer.eos_id());
  expect_golden(again, as_llama);

  const std::map<std::string, std::string> known = {
      {"llama3", "llama-bpe"}, {"starcoder", "smollm"}, {"tekken", "tekken"}};
  const auto pre = known.find(GetParam());
  if (pre != known.end()) {
    EXPECT_EQ(gguf.string("tokenizer.ggml.pre"), pre->second);
    EXPECT_EQ(gguf.find("tokenizer.huggingface.json"), nullptr);
  }
}

// And from there into the files of a directory.
TEST_P(GoldenTokenizer, SurvivesGgufAndDirectory) {
  TemporaryDirectory directory;
  GgufWriter writer(directory.file("a.gguf"));
  Tokenizer::load(file()).write_gguf(writer);
  writer.finish();
  const Tokenizer between = Tokenizer::from_gguf(GgufFile(directory.file("a.gguf")));
  between.write_files(directory.path());
  const Tokenizer again = Tokenizer::load(directory.path());
  EXPECT_EQ(again.vocab_size(), between.vocab_size());
  EXPECT_EQ(again.bos_id(), between.bos_id());
  EXPECT_EQ(again.eos_id(), between.eos_id());
  EXPECT_EQ(again.unknown_id(), between.unknown_id());
  EXPECT_EQ(again.encode_prompt("the house"), between.encode_prompt("the house"));
  expect_golden(again);
}

TEST_P(GoldenTokenizer, EveryTextOfBytesCanBeEncoded) {
  const Tokenizer tokenizer = Tokenizer::load(file());
  Rng rng(5);
  for (int round = 0; round < 200; ++round) {
    std::string bytes;
    for (uint64_t i = rng.below(60); i > 0; --i) bytes += static_cast<char>(rng.below(256));
    for (const int32_t id : tokenizer.encode(bytes)) {
      ASSERT_GE(id, 0);
      ASSERT_LT(id, tokenizer.vocab_size());
    }
  }
}

}  // namespace
}  // namespace tercet
