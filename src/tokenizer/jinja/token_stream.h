// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/jinja/lexer.h"

namespace tercet::jinja {

// The tokens that a parser has not taken yet. Keeps the context's line that of the current one, so
// that errors name it.
class TokenStream {
 public:
  TokenStream(Context& context, std::vector<Token> tokens)
      : context_(context), tokens_(std::move(tokens)) {
    context_.set_line(current().line);
  }

  Context& context() { return context_; }
  const Token& current() const { return tokens_[index_]; }
  const Token& following() const { return tokens_[std::min(index_ + 1, tokens_.size() - 1)]; }
  bool at_operator(std::string_view text) const { return current().is_operator(text); }
  bool at_name(std::string_view text) const { return current().is_name(text); }

  // Takes the current token. The last one, kEnd, stays.
  Token take();
  bool take_operator(std::string_view text);
  bool take_name(std::string_view text);
  // Takes what must be there; throws kBadInput naming what is there instead.
  void expect_operator(std::string_view text);
  std::string expect_name();
  void expect_tag_end();
  [[noreturn]] void fail_expected(std::string_view wanted);

 private:
  Context& context_;
  std::vector<Token> tokens_;
  size_t index_ = 0;
};

}  // namespace tercet::jinja
