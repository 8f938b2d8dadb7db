// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/jinja/context.h"

// What Python's str methods do, for methods and filters alike. Every byte of a result keeps the
// origin of the byte it was made from.
namespace tercet::jinja {

enum class Side : unsigned char { kLeft, kRight, kBoth };

// Without the characters of `characters` (nullptr: white space) at its ends.
Text strip(Context& context, const Text& text, const Text* characters, Side side);
// At most `count` replacements when that is not negative.
Text replace(Context& context, const Text& text, const Text& from, const Text& to, int64_t count);
// Parts between `separator` (nullptr: runs of white space), at most `limit` cuts when that is not
// negative; from the right end for split_right().
std::vector<Value> split(Context& context, const Text& text, const Text* separator, int64_t limit);
std::vector<Value> split_right(Context& context, const Text& text, const Text& separator,
                               int64_t limit);
std::vector<Value> split_lines(Context& context, const Text& text, bool keep_ends);
Text reverse(Context& context, const Text& text);

enum class Case : unsigned char {
  kUpper,
  kLower,
  kCapitalized,  // the first character only
  kTitle,        // the first letter of every run of letters
  kWordTitle,    // the first character behind white space or an opening bracket: Jinja's filter
};
Text change_case(Context& context, const Text& text, Case wanted);

}  // namespace tercet::jinja
