// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/normalizer.h"

#include <gtest/gtest.h>

#include "core/rng.h"
#include "tokenizer/unicode.h"

namespace tercet {
namespace {

std::string applied(const std::unique_ptr<const NormalizerStep>& step, std::string text) {
  step->apply(text, false);
  return text;
}

TEST(Normalizer, UnicodeForms) {
  EXPECT_EQ(unicode_normalize("e\u0301", UnicodeForm::kNfc), "\u00e9");
  EXPECT_EQ(unicode_normalize("\u00e9", UnicodeForm::kNfd), "e\u0301");
  EXPECT_EQ(unicode_normalize("\ufb01\u2460", UnicodeForm::kNfkc), "fi1");
  EXPECT_EQ(unicode_normalize("\u1e9b\u0323", UnicodeForm::kNfkd), "s\u0323\u0307");
  EXPECT_EQ(unicode_normalize("a\u0301\u0316", UnicodeForm::kNfd), "a\u0316\u0301");
  EXPECT_EQ(unicode_normalize("\u1100\u1161\u11a8", UnicodeForm::kNfc), "\uac01");
  EXPECT_EQ(unicode_normalize("\u0958", UnicodeForm::kNfc), "\u0915\u093c");  // excluded
  EXPECT_EQ(unicode_normalize("\ufdfa", UnicodeForm::kNfkd).size(), 33u);     // the longest
}

// The shortcut for texts that are mostly in NFC already.
TEST(Normalizer, NfcByStretchesIsNfc) {
  const auto nfc = make_unicode_normalizer(UnicodeForm::kNfc);
  const std::vector<uint32_t> codes = {
      'a',    'e',    0xE9,   0x301,  0x316, 0x345, 0x3B1, 0x1100, 0x1161, 0x11A8, 0xAC00, 0xAC01,
      0x2026, 0x4E2D, 0x304B, 0x3099, 0x439, 0x438, 0x306, 0x622,  0x627,  0x653,  0x654,  0xFB4B,
      0x5D5,  0x5B9,  0x212B, 0x2126, 0x958, 0x915, 0x93C, 0xEBA,  0xE39,  ' ',    0x1F600};
  Rng rng(4);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (uint64_t i = rng.below(12); i > 0; --i) append_utf8(codes[rng.below(codes.size())], text);
    ASSERT_EQ(applied(nfc, text), unicode_normalize(text, UnicodeForm::kNfc)) << text;
  }
}

// Sorting marks by exchanging neighbours would take hours.
TEST(Normalizer, ManyMarksAreSortedQuickly) {
  std::string text = "a";
  for (int i = 0; i < 200'000; ++i) text += i % 2 == 0 ? "\u0301" : "\u0316";
  const std::string sorted = unicode_normalize(text, UnicodeForm::kNfd);
  EXPECT_EQ(sorted.size(), text.size());
  EXPECT_EQ(sorted.substr(1, 4), "\u0316\u0316");
}

TEST(Normalizer, OtherSteps) {
  EXPECT_EQ(applied(make_prepend("\u2581"), "a"), "\u2581a");
  EXPECT_EQ(applied(make_prepend("\u2581"), ""), "");
  EXPECT_EQ(applied(make_replace(" ", "__"), " a b"), "__a__b");
  EXPECT_EQ(applied(make_regex_replace(Regex("a+", "test"), "$1"), "baac"), "b$1c");
  EXPECT_EQ(applied(make_strip(true, true), " \u3000a b\t\n"), "a b");
  EXPECT_EQ(applied(make_strip(true, false), "  a "), "a ");
  EXPECT_EQ(applied(make_strip(false, true), "  a "), "  a");
  EXPECT_EQ(applied(make_strip(true, true), "  \n"), "");
  EXPECT_EQ(applied(make_strip(true, false), "  \n"), "");
  EXPECT_EQ(applied(make_lowercase(), "A\u00c9\u0130\u03a3"), "a\u00e9i\u0307\u03c3");
  EXPECT_EQ(applied(make_strip_accents(), "e\u0301a\u0903"), "ea");
}

TEST(Normalizer, BrokenUtf8BecomesReplacementCharacters) {
  std::string storage;
  EXPECT_EQ(valid_utf8("caf\u00e9", storage), "caf\u00e9");
  EXPECT_EQ(valid_utf8("", storage), "");
  // As Python decodes with errors="replace": one for each part that could have begun a character.
  EXPECT_EQ(valid_utf8("a\xF0\x9F\x98z\xFF\xC0\x80", storage), "a\ufffdz\ufffd\ufffd\ufffd");
  EXPECT_EQ(valid_utf8("12345678\xED\xA0\x80", storage), "12345678\ufffd\ufffd\ufffd");
  EXPECT_EQ(valid_utf8("\xE4\xB8", storage), "\ufffd");
}

}  // namespace
}  // namespace tercet
