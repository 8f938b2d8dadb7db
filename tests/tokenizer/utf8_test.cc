// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace tercet {
namespace {

std::string encode(uint32_t code) {
  std::string out;
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
  return out;
}

TEST(Utf8, EveryCodePointIsACharacterUnlessASurrogateOrTooLarge) {
  for (uint32_t code = 0; code < 0x120000; ++code) {
    const std::string text = encode(code);
    const bool valid = (code < 0xD800 || code > 0xDFFF) && code <= 0x10FFFF;
    const Utf8Prefix prefix = utf8_prefix(text + "x");
    ASSERT_EQ(prefix.kind == Utf8Prefix::Kind::kCharacter, valid) << code;
    if (valid) {
      ASSERT_EQ(prefix.length, text.size()) << code;
    }
  }
}

TEST(Utf8, CutCharactersAreIncompleteNotInvalid) {
  for (const uint32_t code : {0x80u, 0x7FFu, 0x800u, 0xD7FFu, 0xE000u, 0x10000u, 0x10FFFFu}) {
    const std::string text = encode(code);
    for (size_t length = 1; length < text.size(); ++length) {
      const Utf8Prefix prefix = utf8_prefix(std::string_view(text).substr(0, length));
      EXPECT_EQ(prefix.kind, Utf8Prefix::Kind::kIncomplete) << code;
      EXPECT_EQ(prefix.length, length);
    }
  }
}

TEST(Utf8, InvalidBytesAreTakenUpToWhereTheyFail) {
  const std::pair<std::string, size_t> cases[] = {
      {"\x80", 1},         {"\xC0\x80", 1},         {"\xFF", 1},      {"\xE0\x80\x80", 1},
      {"\xED\xA0\x80", 1}, {"\xF4\x90\x80\x80", 1}, {"\xE4\xB8z", 2}, {"\xF0\x9F\x98z", 3}};
  for (const auto& [text, length] : cases) {
    const Utf8Prefix prefix = utf8_prefix(text);
    EXPECT_EQ(prefix.kind, Utf8Prefix::Kind::kInvalid);
    EXPECT_EQ(prefix.length, length);
  }
}

}  // namespace
}  // namespace tercet
