// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tokenizer/support.h"
#include "tokenizer/utf8.h"

namespace tercet {
namespace {

using testing::TemporaryDirectory;

using Ids = std::vector<int32_t>;

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Prefix prefix = utf8_prefix(text);
    if (prefix.kind != Utf8Prefix::Kind::kCharacter) return false;
    text.remove_prefix(prefix.length);
  }
  return true;
}

class StreamDecoding : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    TemporaryDirectory directory;
    testing::train_small(directory.path(), true);
    tokenizer_ = new Tokenizer(Tokenizer::load(directory.path()));
  }
  static void TearDownTestSuite() {
    delete tokenizer_;
    tokenizer_ = nullptr;
  }

  // Byte pieces only, whatever the text.
  static Ids byte_ids(std::string_view bytes) {
    Ids ids;
    for (const char c : bytes) ids.push_back(3 + first_byte_offset() + static_cast<uint8_t>(c));
    return ids;
  }
  static int32_t first_byte_offset() {
    int32_t id = 0;
    while (tokenizer_->piece(id).text != "<0x00>") ++id;
    return id - 3;
  }
  static std::string stream(const Ids& ids, bool at_text_start) {
    StreamDecoder decoder(*tokenizer_, at_text_start);
    std::string out;
    for (const int32_t id : ids) {
      const std::string text = decoder.push(id);
      EXPECT_TRUE(is_utf8(text));
      out += text;
    }
    return out + decoder.finish();
  }

  static Tokenizer* tokenizer_;
};

Tokenizer* StreamDecoding::tokenizer_ = nullptr;

TEST_F(StreamDecoding, GivesTheTextInWholeCharacters) {
  for (const std::string& text : testing::varied_texts()) {
    const Ids ids = tokenizer_->encode(text);
    EXPECT_EQ(stream(ids, true), tokenizer_->decode(ids));
  }
}

TEST_F(StreamDecoding, HoldsACharacterBackUntilItIsComplete) {
  StreamDecoder decoder(*tokenizer_, false);
  const Ids ids = byte_ids("\U0001F600");
  EXPECT_EQ(decoder.push(ids[0]), "");
  EXPECT_EQ(decoder.push(ids[1]), "");
  EXPECT_EQ(decoder.push(ids[2]), "");
  EXPECT_EQ(decoder.push(ids[3]), "\U0001F600");
  EXPECT_EQ(decoder.finish(), "");
}

TEST_F(StreamDecoding, RepairsBrokenBytes) {
  EXPECT_EQ(stream(byte_ids("\xFFz"), false), "\uFFFDz");
  EXPECT_EQ(stream(byte_ids("\xF0\x9F\x98z"), false), "\uFFFDz");  // one for a cut character
  EXPECT_EQ(stream(byte_ids("\xE4\xB8"), false), "\uFFFD");        // at the end
  EXPECT_EQ(stream(byte_ids("\x80\x80"), false), "\uFFFD\uFFFD");
}

TEST_F(StreamDecoding, DropsTheFirstSpaceAtTheTextStartOnly) {
  const Ids ids = tokenizer_->encode("the house");
  EXPECT_EQ(stream(ids, true), "the house");
  EXPECT_EQ(stream(ids, false), " the house");
  Ids with_bos = ids;
  with_bos.insert(with_bos.begin(), tokenizer_->bos_id());
  EXPECT_EQ(stream(with_bos, true), "the house");
}

}  // namespace
}  // namespace tercet
