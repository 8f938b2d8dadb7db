// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/context.h"

namespace tercet::jinja {

struct Token {
  enum class Kind : unsigned char {
    kText,             // outside all tags
    kExpressionBegin,  // {{
    kExpressionEnd,
    kTagBegin,  // {%
    kTagEnd,
    kName,
    kString,  // unescaped
    kInteger,
    kReal,
    kOperator,  // also brackets and punctuation
    kEnd,
  };
  Kind kind = Kind::kEnd;
  int line = 1;
  std::string text;

  bool is(Kind wanted, std::string_view wanted_text) const {
    return kind == wanted && text == wanted_text;
  }
  bool is_operator(std::string_view wanted) const { return is(Kind::kOperator, wanted); }
  bool is_name(std::string_view wanted) const { return is(Kind::kName, wanted); }
};

// The tokens of a template, kEnd last, with Jinja's white space control as transformers sets it:
// the line feed behind a tag and the indentation before one vanish (trim_blocks, lstrip_blocks),
// '-' removes all white space on its side and '+' keeps it. Comments and {% raw %} are gone.
// Throws kBadInput naming the line for what is not closed or no token.
std::vector<Token> tokenize(Context& context, std::string_view source);

}  // namespace tercet::jinja
