// SPDX-License-Identifier: Apache-2.0
// llama.cpp's published vectors: each text of an .inp file against its line of ids in the .out
// file.
#include <gtest/gtest.h>

#include <sstream>

#include "core/file.h"
#include "formats/gguf.h"
#include "tokenizer/support.h"

namespace tercet {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

const fs::path kData = TERCET_SOURCE_DIR "/../shared/data/tokenizers";

struct Vectors {
  std::string name;    // of the .inp and .out files
  std::string source;  // of the tokenizer, below kData
};

std::vector<std::string> read_texts(const fs::path& path) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  const std::string all = read_text_file(path, 1 << 20);
  std::vector<std::string> texts;
  size_t begin = 0;
  for (size_t end = all.find(separator); end != std::string::npos;
       end = all.find(separator, begin)) {
    texts.push_back(all.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return texts;
}

std::vector<Ids> read_ids(const fs::path& path) {
  std::istringstream lines(read_text_file(path, 1 << 20));
  std::vector<Ids> out;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    out.emplace_back();
    for (int32_t id = 0; words >> id;) out.back().push_back(id);
  }
  return out;
}

Tokenizer load(const fs::path& path) {
  return path.extension() == ".gguf" ? Tokenizer::from_gguf(GgufFile(path)) : Tokenizer::load(path);
}

class PublishedVectors : public ::testing::TestWithParam<Vectors> {};

INSTANTIATE_TEST_SUITE_P(
    All, PublishedVectors,
    ::testing::Values(Vectors{"gpt-2", "ggml-vocab/ggml-vocab-gpt-2.gguf"},
                      Vectors{"gpt-2", "gpt2/tokenizer.json"},
                      Vectors{"deepseek-llm", "ggml-vocab/ggml-vocab-deepseek-llm.gguf"},
                      Vectors{"llama-spm", "ggml-vocab/ggml-vocab-llama-spm.gguf"},
                      Vectors{"llama-spm", "llama2/tinyllama.tokenizer.json"},
                      Vectors{"llama-bpe", "llama3/tokenizer.json"},
                      Vectors{"qwen2", "qwen3/tokenizer.json"}));

// Also by way of the tokenizer.json that is made of a GGUF file's vocabulary.
TEST_P(PublishedVectors, TextsGiveTheirIds) {
  const fs::path texts_file =
      kData / "ggml-vocab" / ("ggml-vocab-" + GetParam().name + ".gguf.inp");
  fs::path ids_file = texts_file;
  ids_file.replace_extension(".out");
  const fs::path source = kData / GetParam().source;
  for (const fs::path& path : {texts_file, ids_file, source}) {
    if (!fs::exists(path)) GTEST_SKIP() << "not here: " << path << "; nothing compared";
  }
  const Tokenizer tokenizer = load(source);
  const std::vector<std::string> texts = read_texts(texts_file);
  const std::vector<Ids> ids = read_ids(ids_file);
  ASSERT_EQ(texts.size(), ids.size());
  ASSERT_GT(texts.size(), 40u);
  testing::TemporaryDirectory directory;
  const bool is_gguf = source.extension() == ".gguf";
  if (is_gguf) tokenizer.write_files(directory.path());
  const Tokenizer again = Tokenizer::load(is_gguf ? directory.path() : source);
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(tokenizer.encode(texts[i]), ids[i]) << i << " " << texts[i];
    EXPECT_EQ(again.encode(texts[i]), ids[i]) << i << " " << texts[i];
  }
}

// What is written to GGUF says the same in the form that other programs read.
TEST(RealTokenizers, SurviveGguf) {
  const std::vector<std::pair<std::string, std::string>> sources = {
      {"gpt2/tokenizer.json", "gpt-2"},
      {"llama2/tinyllama.tokenizer.json", ""},
      {"llama3", "llama-bpe"},
      {"qwen3", "qwen2"}};
  for (const auto& [source, pre] : sources) {
    if (!fs::exists(kData / source)) GTEST_SKIP() << "not here: " << kData / source;
    const Tokenizer tokenizer = Tokenizer::load(kData / source);
    testing::TemporaryDirectory directory;
    GgufWriter writer(directory.file("a.gguf"));
    tokenizer.write_gguf(writer);
    writer.finish();
    const GgufFile file(directory.file("a.gguf"));
    EXPECT_EQ(file.string("tokenizer.ggml.model"), pre.empty() ? "llama" : "gpt2");
    EXPECT_EQ(file.string_or("tokenizer.ggml.pre", ""), pre);
    EXPECT_EQ(file.find("tokenizer.huggingface.json"), nullptr);
    const Tokenizer again = Tokenizer::from_gguf(file);
    for (const std::string& text : testing::varied_texts()) {
      const Ids ids = tokenizer.encode_with_special(text);
      EXPECT_EQ(again.encode_with_special(text), ids) << source << text.substr(0, 80);
      if (text.find("<unk>") != std::string::npos) continue;  // SentencePiece shows it
      EXPECT_EQ(again.decode(ids), tokenizer.decode(ids));
    }
  }
}

}  // namespace
}  // namespace tercet
