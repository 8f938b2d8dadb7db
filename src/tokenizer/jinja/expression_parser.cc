// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/expression_parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace tercet::jinja {
namespace {

struct Named {
  std::string_view text;
  Operator meaning;
};

// Binary arithmetic by level; kConcatLevel, between the two, has no operators here.
constexpr int kSumLevel = 0;
constexpr int kProductLevel = 1;
constexpr int kPowerLevel = 2;
constexpr std::array<Named, 2> kSums = {{{"+", Operator::kAdd}, {"-", Operator::kSubtract}}};
constexpr std::array<Named, 4> kProducts = {{{"*", Operator::kMultiply},
                                             {"/", Operator::kDivide},
                                             {"//", Operator::kFloorDivide},
                                             {"%", Operator::kModulo}}};
constexpr std::array<Named, 1> kPowers = {{{"**", Operator::kPower}}};
constexpr std::array<Named, 6> kComparisons = {{{"==", Operator::kEqual},
                                                {"!=", Operator::kNotEqual},
                                                {"<", Operator::kLess},
                                                {"<=", Operator::kLessEqual},
                                                {">", Operator::kGreater},
                                                {">=", Operator::kGreaterEqual}}};

std::span<const Named> operators_of(int level) {
  if (level == kSumLevel) return kSums;
  if (level == kProductLevel) return kProducts;
  return kPowers;
}

const Named* find_operator(std::span<const Named> table, const Token& token) {
  if (token.kind != Token::Kind::kOperator) return nullptr;
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Named& entry) { return entry.text == token.text; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace

ExpressionParser::Nest::Nest(ExpressionParser& parser) : parser_(parser) {
  const int limit = parser.stream_.context().limits().max_nesting;
  if (parser.nesting_ >= limit) {
    parser.stream_.context().fail("the template is nested more than max_nesting = {} deep", limit);
  }
  ++parser.nesting_;
}

void ExpressionParser::count_node() {
  Context& context = stream_.context();
  if (++nodes_ > context.limits().max_nodes) {
    context.fail("the template has more than max_nodes = {} nodes", context.limits().max_nodes);
  }
}

ExpressionParser::Node ExpressionParser::make(Kind kind) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = stream_.current().line;
  return node;
}

ExpressionPtr ExpressionParser::finish(Node node) {
  count_node();
  for (const ExpressionPtr& operand : node->operands) {
    if (operand) node->depth = std::max(node->depth, operand->depth + 1);
  }
  for (const auto& [name, value] : node->keywords) {
    node->depth = std::max(node->depth, value->depth + 1);
  }
  Context& context = stream_.context();
  if (node->depth > context.limits().max_depth) {
    context.fail("an expression is more than max_depth = {} deep", context.limits().max_depth);
  }
  return node;
}

ExpressionPtr ExpressionParser::unary(Kind kind, ExpressionPtr operand) {
  Node node = make(kind);
  node->operands.push_back(std::move(operand));
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::binary(Kind kind, ExpressionPtr left, ExpressionPtr right) {
  Node node = make(kind);
  node->line = left->line;
  node->operands.push_back(std::move(left));
  node->operands.push_back(std::move(right));
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::constant(Value value) {
  Node node = make(Kind::kConstant);
  node->constant = std::move(value);
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::parse(bool conditional) {
  const Nest nest(*this);
  ExpressionPtr value = parse_or();
  while (conditional && stream_.take_name("if")) {
    Node node = make(Kind::kConditional);
    node->operands.push_back(parse_or());
    node->operands.push_back(std::move(value));
    node->operands.push_back(stream_.take_name("else") ? parse() : nullptr);
    value = finish(std::move(node));
  }
  return value;
}

bool ExpressionParser::at_end_of_tuple() const {
  const Token& token = stream_.current();
  return token.kind == Token::Kind::kExpressionEnd || token.kind == Token::Kind::kTagEnd ||
         token.kind == Token::Kind::kEnd || token.is_operator(")") || token.is_name("recursive");
}

ExpressionPtr ExpressionParser::parse_tuple(bool conditional) {
  if (at_end_of_tuple()) stream_.fail_expected("an expression");
  ExpressionPtr first = parse(conditional);
  if (!stream_.at_operator(",")) return first;
  Node tuple = make(Kind::kTuple);
  tuple->operands.push_back(std::move(first));
  while (stream_.take_operator(",") && !at_end_of_tuple()) {
    tuple->operands.push_back(parse(conditional));
  }
  return finish(std::move(tuple));
}

ExpressionPtr ExpressionParser::parse_or() {
  ExpressionPtr left = parse_and();
  while (stream_.take_name("or")) left = binary(Kind::kOr, std::move(left), parse_and());
  return left;
}

ExpressionPtr ExpressionParser::parse_and() {
  ExpressionPtr left = parse_not();
  while (stream_.take_name("and")) left = binary(Kind::kAnd, std::move(left), parse_not());
  return left;
}

ExpressionPtr ExpressionParser::parse_not() {
  if (!stream_.take_name("not")) return parse_compare();
  const Nest nest(*this);
  return unary(Kind::kNot, parse_not());
}

bool ExpressionParser::take_comparison(Operator& comparison) {
  if (const Named* found = find_operator(kComparisons, stream_.current())) {
    comparison = found->meaning;
    stream_.take();
    return true;
  }
  if (stream_.take_name("in")) {
    comparison = Operator::kIn;
    return true;
  }
  if (stream_.at_name("not") && stream_.following().is_name("in")) {
    stream_.take();
    stream_.take();
    comparison = Operator::kNotIn;
    return true;
  }
  return false;
}

ExpressionPtr ExpressionParser::parse_compare() {
  ExpressionPtr left = parse_binary(kSumLevel);
  Operator comparison{};
  if (!take_comparison(comparison)) return left;
  Node node = make(Kind::kCompare);
  node->operands.push_back(std::move(left));
  do {
    node->operators.push_back(comparison);
    node->operands.push_back(parse_binary(kSumLevel));
  } while (take_comparison(comparison));
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::parse_binary(int level) {
  const auto operand = [&] {
    return level == kSumLevel       ? parse_concat()
           : level == kProductLevel ? parse_binary(kPowerLevel)
                                    : parse_unary(true);
  };
  ExpressionPtr left = operand();
  while (const Named* found = find_operator(operators_of(level), stream_.current())) {
    const Operator meaning = found->meaning;
    Node node = make(Kind::kBinary);
    stream_.take();
    node->operators.push_back(meaning);
    node->operands.push_back(std::move(left));
    node->operands.push_back(operand());
    left = finish(std::move(node));
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_concat() {
  ExpressionPtr first = parse_binary(kProductLevel);
  if (!stream_.at_operator("~")) return first;
  Node node = make(Kind::kConcat);
  node->operands.push_back(std::move(first));
  while (stream_.take_operator("~")) node->operands.push_back(parse_binary(kProductLevel));
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::parse_unary(bool with_filters) {
  ExpressionPtr node;
  if (stream_.at_operator("-") || stream_.at_operator("+")) {
    const Nest nest(*this);
    const Kind kind = stream_.take().text == "-" ? Kind::kNegate : Kind::kPlus;
    node = unary(kind, parse_unary(false));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filters ? parse_filters(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::parse_primary() {
  const Token& token = stream_.current();
  switch (token.kind) {
    case Token::Kind::kName:
      return parse_name();
    case Token::Kind::kString:
      return parse_strings();
    case Token::Kind::kInteger:
      return parse_integer();
    case Token::Kind::kReal:
      return parse_real();
    default:
      break;
  }
  if (token.is_operator("(")) return parse_parentheses();
  if (token.is_operator("[")) return parse_list();
  if (token.is_operator("{")) return parse_map();
  stream_.fail_expected("an expression");
}

ExpressionPtr ExpressionParser::parse_name() {
  if (stream_.take_name("true") || stream_.take_name("True")) return constant(Value(true));
  if (stream_.take_name("false") || stream_.take_name("False")) return constant(Value(false));
  if (stream_.take_name("none") || stream_.take_name("None")) return constant(Value::none());
  Node node = make(Kind::kName);
  node->name = stream_.expect_name();
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::parse_integer() {
  const std::string digits = stream_.current().text;
  int64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec != std::errc()) {
    stream_.context().unsupported("the integer {} does not fit 64 bits", digits.substr(0, 40));
  }
  stream_.take();
  return constant(Value(value));
}

ExpressionPtr ExpressionParser::parse_real() {
  const std::string digits = stream_.take().text;
  double value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return constant(Value(value));
}

ExpressionPtr ExpressionParser::parse_strings() {
  std::string text;
  while (stream_.current().kind == Token::Kind::kString) text += stream_.take().text;
  return constant(Value(std::move(text)));
}

ExpressionPtr ExpressionParser::parse_parentheses() {
  stream_.expect_operator("(");
  ExpressionPtr inner;
  if (stream_.at_operator(")")) {
    inner = finish(make(Kind::kTuple));
  } else {
    inner = parse_tuple();
  }
  stream_.expect_operator(")");
  return inner;
}

ExpressionPtr ExpressionParser::parse_list() {
  Node node = make(Kind::kList);
  stream_.expect_operator("[");
  while (!stream_.at_operator("]")) {
    if (!node->operands.empty()) stream_.expect_operator(",");
    if (stream_.at_operator("]")) break;
    node->operands.push_back(parse());
  }
  stream_.expect_operator("]");
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::parse_map() {
  Node node = make(Kind::kMap);
  stream_.expect_operator("{");
  while (!stream_.at_operator("}")) {
    if (!node->operands.empty()) stream_.expect_operator(",");
    if (stream_.at_operator("}")) break;
    node->operands.push_back(parse());
    stream_.expect_operator(":");
    node->operands.push_back(parse());
  }
  stream_.expect_operator("}");
  return finish(std::move(node));
}

}  // namespace tercet::jinja
