// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/token_stream.h"

namespace tercet::jinja {
namespace {

std::string describe(const Token& token) {
  switch (token.kind) {
    case Token::Kind::kText:
      return "text";
    case Token::Kind::kExpressionBegin:
      return "'{{'";
    case Token::Kind::kExpressionEnd:
      return "'}}'";
    case Token::Kind::kTagBegin:
      return "'{%'";
    case Token::Kind::kTagEnd:
      return "'%}'";
    case Token::Kind::kString:
      return "a string";
    case Token::Kind::kEnd:
      return "the end of the template";
    default:
      return "'" + token.text.substr(0, 80) + "'";
  }
}

}  // namespace

Token TokenStream::take() {
  if (current().kind == Token::Kind::kEnd) return current();
  Token token = std::move(tokens_[index_++]);
  context_.set_line(current().line);
  return token;
}

bool TokenStream::take_operator(std::string_view text) {
  if (!at_operator(text)) return false;
  take();
  return true;
}

bool TokenStream::take_name(std::string_view text) {
  if (!at_name(text)) return false;
  take();
  return true;
}

void TokenStream::expect_operator(std::string_view text) {
  if (!take_operator(text)) fail_expected(text);
}

std::string TokenStream::expect_name() {
  if (current().kind != Token::Kind::kName) fail_expected("a name");
  return take().text;
}

void TokenStream::expect_tag_end() {
  if (current().kind != Token::Kind::kTagEnd) fail_expected("%}");
  take();
}

void TokenStream::fail_expected(std::string_view wanted) {
  context_.fail("expected '{}', found {}", wanted, describe(current()));
}

}  // namespace tercet::jinja
