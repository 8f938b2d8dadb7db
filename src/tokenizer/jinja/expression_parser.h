// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/token_stream.h"

namespace tercet::jinja {

// Expressions by Jinja's precedence, loosest first: if-else, or, and, not, comparisons, + -, ~,
// * / // %, **, signs, then attributes, subscripts, calls, filters and tests.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  // One expression. `conditional`: whether `a if b else c` may be one (not where `if` begins the
  // filter of a loop).
  ExpressionPtr parse(bool conditional = true);
  // One expression, or several with commas between them: a tuple.
  ExpressionPtr parse_tuple(bool conditional = true);
  // What a filter block or a set block names: "name(args) | name ...", without a subject.
  ExpressionPtr parse_filter_chain();
  // A call's "(...)" behind `function`.
  ExpressionPtr parse_call(ExpressionPtr function);

  // Counts a node against max_nodes.
  void count_node();
  // One level of brackets or blocks against max_nesting, for as long as it lives.
  class Nest {
   public:
    explicit Nest(ExpressionParser& parser);
    ~Nest() { --parser_.nesting_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    ExpressionParser& parser_;
  };

 private:
  using Kind = Expression::Kind;
  using Node = std::unique_ptr<Expression>;

  Node make(Kind kind) const;
  ExpressionPtr finish(Node node);
  ExpressionPtr unary(Kind kind, ExpressionPtr operand);
  ExpressionPtr binary(Kind kind, ExpressionPtr left, ExpressionPtr right);
  ExpressionPtr constant(Value value);

  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_compare();
  ExpressionPtr parse_binary(int level);
  ExpressionPtr parse_concat();
  ExpressionPtr parse_unary(bool with_filters);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_name();
  ExpressionPtr parse_integer();
  ExpressionPtr parse_real();
  ExpressionPtr parse_strings();
  ExpressionPtr parse_parentheses();
  ExpressionPtr parse_list();
  ExpressionPtr parse_map();
  ExpressionPtr parse_postfix(ExpressionPtr node);
  ExpressionPtr parse_attribute(ExpressionPtr object);
  ExpressionPtr parse_subscript(ExpressionPtr object);
  ExpressionPtr parse_slice(Node node);
  ExpressionPtr parse_filters(ExpressionPtr node);
  ExpressionPtr parse_filter(ExpressionPtr subject);
  ExpressionPtr parse_test(ExpressionPtr subject);
  void parse_arguments(Expression& call);
  std::string parse_dotted_name();
  bool at_end_of_tuple() const;
  bool at_test_argument() const;
  bool take_comparison(Operator& comparison);

  TokenStream& stream_;
  size_t nodes_ = 0;
  int nesting_ = 0;
};

}  // namespace tercet::jinja
