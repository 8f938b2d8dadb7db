// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/gguf_vocabulary.h"

#include <fmt/ranges.h>

#include <functional>
#include <sstream>

#include "formats/gguf.h"
#include "tokenizer/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::read_bytes;
using testing::SpecBuilder;
using testing::TemporaryDirectory;

using Ids = std::vector<int32_t>;

class GgufVocabulary : public ::testing::Test {
 protected:
  // A file with the keys of a small vocabulary, after `change` has had its way with them.
  GgufFile write(const std::function<void(GgufWriter&)>& change) const {
    TokenizerSpec spec = SpecBuilder().add("a").add("\u2581a").spec();
    GgufWriter writer(path());
    write_gguf_vocabulary(spec, writer);
    if (change) change(writer);
    writer.finish();
    return GgufFile(path());
  }
  void expect_refused(ErrorCode code, const std::string& text,
                      const std::function<void(GgufWriter&)>& change) const {
    expect_error(code, text, [&] { Tokenizer::from_gguf(write(change)); });
  }
  std::filesystem::path path() const { return directory_.file("vocabulary.gguf"); }
  TemporaryDirectory directory_;
};

TEST_F(GgufVocabulary, KeepsATrainedTokenizer) {
  for (const bool prefix : {false, true}) {
    testing::train_small(directory_.path(), prefix);
    const Tokenizer original = Tokenizer::load(directory_.path());
    GgufWriter writer(path());
    original.write_gguf(writer);
    writer.finish();
    const Tokenizer copy = Tokenizer::from_gguf(GgufFile(path()));
    ASSERT_EQ(copy.vocab_size(), original.vocab_size());
    EXPECT_EQ(copy.bos_id(), original.bos_id());
    EXPECT_EQ(copy.eos_id(), original.eos_id());
    EXPECT_EQ(copy.unknown_id(), original.unknown_id());
    EXPECT_EQ(copy.add_bos(), original.add_bos());
    for (const std::string& text : testing::varied_texts()) {
      EXPECT_EQ(copy.encode(text), original.encode(text));
    }
  }
}

TEST_F(GgufVocabulary, RemovesExtraSpacesWhenTheFileSaysSo) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(write([](GgufWriter& writer) {
    writer.set("tokenizer.ggml.remove_extra_whitespaces", GgufValue::boolean(true));
  }));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("  a   a  ")), "a a");
  EXPECT_TRUE(tokenizer.encode("   ").empty());
}

TEST_F(GgufVocabulary, RefusesListsOfDifferentLengths) {
  for (const size_t size : {0u, 260u, 262u}) {
    expect_refused(ErrorCode::kBadInput, "must be equal", [&](GgufWriter& writer) {
      writer.set("tokenizer.ggml.scores", GgufValue::f32s(std::vector<float>(size)));
    });
    expect_refused(ErrorCode::kBadInput, "must be equal", [&](GgufWriter& writer) {
      writer.set("tokenizer.ggml.token_type", GgufValue::i32s(std::vector<int32_t>(size, 1)));
    });
  }
}

TEST_F(GgufVocabulary, RefusesImpossibleValues) {
  for (const int32_t type : {0, 7, -1, INT32_MAX}) {
    expect_refused(ErrorCode::kBadInput, "token_type[0]", [&](GgufWriter& writer) {
      writer.set("tokenizer.ggml.token_type", GgufValue::i32s(std::vector<int32_t>(261, type)));
    });
  }
  for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
                          "tokenizer.ggml.unknown_token_id"}) {
    for (const uint32_t id : {261u, UINT32_MAX}) {
      expect_refused(ErrorCode::kBadInput, key,
                     [&](GgufWriter& writer) { writer.set(key, GgufValue::u32(id)); });
    }
    expect_refused(ErrorCode::kBadInput, key,
                   [&](GgufWriter& writer) { writer.set(key, GgufValue::string("one")); });
  }
}

TEST_F(GgufVocabulary, RefusesOtherTokenizersByName) {
  for (const char* model : {"bert", "t5", "gemma4", "rwkv", ""}) {
    expect_refused(ErrorCode::kUnsupported, fmt::format("'{}'", model), [&](GgufWriter& writer) {
      writer.set("tokenizer.ggml.model", GgufValue::string(model));
    });
  }
  expect_refused(ErrorCode::kUnsupported, "precompiled_charsmap", [](GgufWriter& writer) {
    writer.set("tokenizer.ggml.precompiled_charsmap", GgufValue::string("x"));
  });
}

}  // namespace
}  // namespace tercet
