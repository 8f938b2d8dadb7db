// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/regex.h"

#include "formats/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using Words = std::vector<std::string>;

Words matches(const std::string& pattern, std::string_view text) {
  const Regex regex(pattern, "test");
  RegexSearch search(regex, text);
  Words out;
  while (const auto match = search.next()) {
    out.emplace_back(text.substr(match->begin, match->end - match->begin));
  }
  return out;
}

// Expected values are those of Oniguruma, taken from the `tokenizers` package.
TEST(Regex, ReadsOnigurumasDialect) {
  EXPECT_EQ(matches("\\s", "a\u0085b\u180ec\u00a0d"), (Words{"\u0085", "\u00a0"}));
  EXPECT_EQ(matches("[^\\s]+", "a\u180eb c"), (Words{"a\u180eb", "c"}));
  EXPECT_EQ(matches("\\w+", "a_b\u0301\u203f\u24b6 \u00b2 \u2070"),
            (Words{"a_b\u0301\u203f\u24b6", "\u00b2"}));
  EXPECT_EQ(matches("\\h+", "xAf0g 1"), (Words{"Af0", "1"}));
  EXPECT_EQ(matches("^b$", "a\nb\nc"), (Words{"b"}));  // line anchors always
  EXPECT_EQ(matches("(?m:a.b)", "a\nb"), (Words{"a\nb"}));
  EXPECT_EQ(matches("a.b", "a\nb"), Words{});
  EXPECT_EQ(matches("[a[bc]]+", "abcd"), (Words{"abc"}));
  EXPECT_EQ(matches("a{,2}b", "aaab"), (Words{"aab"}));
  EXPECT_EQ(matches("a{x}", "a{x}"), (Words{"a{x}"}));
  EXPECT_EQ(matches("\\u4e2d", "\u4e2d"), (Words{"\u4e2d"}));
  EXPECT_EQ(matches("\\p{^L}+", "ab12"), (Words{"12"}));
  EXPECT_EQ(matches("\\bab", "ab cab"), (Words{"ab"}));
  EXPECT_EQ(matches("(?i:'s)", "'S'\u017f"), (Words{"'S", "'\u017f"}));
  EXPECT_EQ(matches("x?+x", "x"), Words{});  // possessive
  EXPECT_EQ(matches("[]a]+", "a]b"), (Words{"a]"}));
  EXPECT_EQ(matches("\\p{Han}+", "\u4e2d\u6587a"), (Words{"\u4e2d\u6587"}));
  // Of Unicode versions after that of PCRE2 10.42.
  EXPECT_EQ(matches("\\p{L}", "\u1c89"), (Words{"\u1c89"}));
  EXPECT_EQ(matches("\\P{N}", "\U00010D40a"), (Words{"a"}));
  EXPECT_EQ(matches("[^\\p{L}]", "\U00031350!"), (Words{"!"}));
}

TEST(Regex, EmptyMatchesCutTheTextOnceInEachPlace) {
  const Regex regex("(?=b)", "test");
  RegexSearch search(regex, "abb");
  std::vector<size_t> places;
  while (const auto match = search.next()) {
    EXPECT_EQ(match->begin, match->end);
    places.push_back(match->begin);
  }
  EXPECT_EQ(places, (std::vector<size_t>{1, 2}));
  EXPECT_EQ(matches("b*", "abb\u4e2d"), (Words{"", "bb", ""}));
}

TEST(Regex, RefusesWhatItCannotKeepByName) {
  const auto refused = [](const std::string& pattern, const std::string& what) {
    expect_error(ErrorCode::kUnsupported, what, [&] { Regex(pattern, "file.json"); });
    expect_error(ErrorCode::kUnsupported, "file.json", [&] { Regex(pattern, "file.json"); });
  };
  refused("[a&&b]", "intersection");
  refused("[[:alpha:]]", "POSIX");
  refused("[a[^b]]", "negated class inside");
  refused("(*LIMIT_MATCH=9)a", "(*");
  refused("(?P<n>a)", "unknown kind");
  refused("(?~a)", "unknown kind");
  refused("(?R)", "unknown kind");
  refused("a{1,2}+", "plus after an interval");
  refused("\\g<1>(a)", "\\g");
  refused("\\y", "\\y");
  refused("[\\W]", "\\W");
  refused("\\p{Nonsense}", "\\p{Nonsense}");
  refused("\\p{L", "\\p");
  refused("\\pL", "\\p without braces");
  refused("\\u12", "\\u");
  refused("[a", "class without an end");
  refused("(a", "(a");
  refused("a\\", "backslash");
  refused(std::string(70000, 'a'), "70000 bytes");
  refused(std::string(300, '(') + std::string(300, ')'), "cannot be used");
}

TEST(Regex, StopsMatchesThatTakeTooManySteps) {
  const Regex regex("(?:a|aa)+\\z.", "test");
  const std::string text(60, 'a');
  RegexSearch search(regex, text);
  expect_error(ErrorCode::kUnsupported, "fails on this text", [&] { search.next(); });
}

TEST(Regex, LongTextsNeedNoStack) {
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(matches("(?:a|b)+", text).size(), 1u);
  EXPECT_EQ(matches("\\s+(?!\\S)|\\s+", std::string(1 << 20, ' ')).size(), 1u);
}

}  // namespace
}  // namespace tercet
