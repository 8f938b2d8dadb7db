// SPDX-License-Identifier: Apache-2.0
// What may follow an expression: attributes, subscripts, calls, filters and tests.
#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/expression_parser.h"

namespace tercet::jinja {

ExpressionPtr ExpressionParser::parse_postfix(ExpressionPtr node) {
  while (true) {
    if (stream_.at_operator(".")) {
      node = parse_attribute(std::move(node));
    } else if (stream_.at_operator("[")) {
      node = parse_subscript(std::move(node));
    } else if (stream_.at_operator("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

// object.name, or object.0 for object[0].
ExpressionPtr ExpressionParser::parse_attribute(ExpressionPtr object) {
  stream_.expect_operator(".");
  if (stream_.current().kind == Token::Kind::kInteger) {
    Node node = make(Kind::kSubscript);
    node->operands.push_back(std::move(object));
    node->operands.push_back(parse_integer());
    return finish(std::move(node));
  }
  Node node = make(Kind::kAttribute);
  node->name = stream_.expect_name();
  node->operands.push_back(std::move(object));
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::parse_subscript(ExpressionPtr object) {
  Node node = make(Kind::kSubscript);
  stream_.expect_operator("[");
  node->operands.push_back(std::move(object));
  if (!stream_.at_operator(":")) {
    node->operands.push_back(parse());
    if (stream_.take_operator("]")) return finish(std::move(node));
  } else {
    node->operands.push_back(nullptr);
  }
  return parse_slice(std::move(node));
}

// The rest of object[begin:end:step], from the first colon on.
ExpressionPtr ExpressionParser::parse_slice(Node node) {
  node->kind = Kind::kSlice;
  stream_.expect_operator(":");
  const auto part = [&]() -> ExpressionPtr {
    if (stream_.at_operator(":") || stream_.at_operator("]")) return nullptr;
    return parse();
  };
  node->operands.push_back(part());
  node->operands.push_back(stream_.take_operator(":") ? part() : nullptr);
  stream_.expect_operator("]");
  return finish(std::move(node));
}

void ExpressionParser::parse_arguments(Expression& call) {
  const Nest nest(*this);
  stream_.expect_operator("(");
  bool first = true;
  while (!stream_.at_operator(")")) {
    if (!first) stream_.expect_operator(",");
    first = false;
    if (stream_.at_operator(")")) break;
    if (stream_.at_operator("*") || stream_.at_operator("**")) {
      stream_.context().unsupported("arguments unpacked by '{}' are not supported",
                                    stream_.current().text);
    }
    if (stream_.current().kind == Token::Kind::kName && stream_.following().is_operator("=")) {
      std::string name = stream_.take().text;
      stream_.take();
      call.keywords.emplace_back(std::move(name), parse());
    } else {
      if (!call.keywords.empty()) {
        stream_.context().fail("an argument without a name follows one with a name");
      }
      call.operands.push_back(parse());
    }
  }
  stream_.expect_operator(")");
}

ExpressionPtr ExpressionParser::parse_call(ExpressionPtr function) {
  Node node = make(Kind::kCall);
  node->operands.push_back(std::move(function));
  parse_arguments(*node);
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::parse_filters(ExpressionPtr node) {
  while (true) {
    if (stream_.take_operator("|")) {
      node = parse_filter(std::move(node));
    } else if (stream_.take_name("is")) {
      node = parse_test(std::move(node));
    } else if (stream_.at_operator("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::parse_filter_chain() {
  ExpressionPtr node = parse_filter(nullptr);
  while (stream_.take_operator("|")) node = parse_filter(std::move(node));
  return node;
}

std::string ExpressionParser::parse_dotted_name() {
  std::string name = stream_.expect_name();
  while (stream_.take_operator(".")) name += "." + stream_.expect_name();
  return name;
}

ExpressionPtr ExpressionParser::parse_filter(ExpressionPtr subject) {
  Node node = make(Kind::kFilter);
  node->name = parse_dotted_name();
  node->native = find_filter(node->name);
  node->operands.push_back(std::move(subject));
  if (stream_.at_operator("(")) parse_arguments(*node);
  return finish(std::move(node));
}

// Whether a test's one argument follows without parentheses, as in `x is divisibleby 3`.
bool ExpressionParser::at_test_argument() const {
  const Token& token = stream_.current();
  switch (token.kind) {
    case Token::Kind::kString:
    case Token::Kind::kInteger:
    case Token::Kind::kReal:
      return true;
    case Token::Kind::kName:
      return token.text != "else" && token.text != "or" && token.text != "and";
    default:
      return token.is_operator("[") || token.is_operator("{");
  }
}

ExpressionPtr ExpressionParser::parse_test(ExpressionPtr subject) {
  const bool negated = stream_.take_name("not");
  Node node = make(Kind::kTest);
  node->name = parse_dotted_name();
  node->native = find_test(node->name);
  node->operands.push_back(std::move(subject));
  if (stream_.at_operator("(")) {
    parse_arguments(*node);
  } else if (at_test_argument()) {
    if (stream_.at_name("is")) {
      stream_.context().fail("tests cannot be chained by 'is'; write 'and' between them");
    }
    node->operands.push_back(parse_postfix(parse_primary()));
  }
  ExpressionPtr test = finish(std::move(node));
  return negated ? unary(Kind::kNot, std::move(test)) : std::move(test);
}

}  // namespace tercet::jinja
