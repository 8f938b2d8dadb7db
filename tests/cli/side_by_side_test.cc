// SPDX-License-Identifier: Apache-2.0
#include "cli/common/side_by_side.h"

#include <gtest/gtest.h>

namespace tercet::cli {
namespace {

using Lines = std::vector<std::string>;

TEST(WrapText, BreaksAtSpacesAndLineFeeds) {
  EXPECT_EQ(wrap_text("one two three", 7), (Lines{"one two", "three"}));
  EXPECT_EQ(wrap_text("one\n\ntwo", 7), (Lines{"one", "", "two"}));
  EXPECT_EQ(wrap_text("", 7), (Lines{""}));
  EXPECT_EQ(wrap_text("exactly", 7), (Lines{"exactly"}));
}

TEST(WrapText, CutsWordsThatAreTooLongBetweenCharacters) {
  EXPECT_EQ(wrap_text("abcdefgh", 3), (Lines{"abc", "def", "gh"}));
  EXPECT_EQ(wrap_text("\u00e9\u00e9\u00e9\u00e9", 3), (Lines{"\u00e9\u00e9\u00e9", "\u00e9"}));
  EXPECT_EQ(wrap_text("ab", 0), (Lines{"a", "b"}));
}

TEST(SideBySide, PadsByCharactersNotBytes) {
  const std::string out = side_by_side("L", "\u00e9", "R", "x\ny", 4);
  EXPECT_EQ(out, "  L    | R\n  ---- | ----\n  \u00e9    | x\n       | y\n");
}

TEST(FormatTable, AlignsNumbersToTheRight) {
  EXPECT_EQ(format_table({"model", "n"}, {{"a", "1"}, {"b", "100"}}),
            "  model    n \n  -----  --- \n  a        1 \n  b      100 \n");
}

}  // namespace
}  // namespace tercet::cli
