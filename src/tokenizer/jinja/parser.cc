// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "tokenizer/jinja/expression_parser.h"

namespace tercet::jinja {
namespace {

class StatementParser {
 public:
  explicit StatementParser(TokenStream& stream) : stream_(stream), expressions_(stream) {}

  Block parse_template() {
    Block block = parse_block({});
    if (stream_.current().kind != Token::Kind::kEnd) stream_.fail_expected("a tag");
    return block;
  }

 private:
  using Kind = Statement::Kind;
  using Node = std::unique_ptr<Statement>;

  Node make(Kind kind) {
    expressions_.count_node();
    auto node = std::make_unique<Statement>();
    node->kind = kind;
    node->line = stream_.current().line;
    return node;
  }

  // Statements up to a tag with one of the words `ends`; that tag's "{%" is taken, its word not.
  Block parse_block(std::initializer_list<std::string_view> ends) {
    const ExpressionParser::Nest nest(expressions_);
    Block block;
    while (stream_.current().kind != Token::Kind::kEnd) {
      switch (stream_.current().kind) {
        case Token::Kind::kText: {
          Node node = make(Kind::kText);
          node->text = Text(stream_.take().text);
          block.push_back(std::move(node));
          break;
        }
        case Token::Kind::kExpressionBegin: {
          Node node = make(Kind::kPrint);
          stream_.take();
          node->expression = expressions_.parse_tuple();
          if (stream_.current().kind != Token::Kind::kExpressionEnd) stream_.fail_expected("}}");
          stream_.take();
          block.push_back(std::move(node));
          break;
        }
        default:
          stream_.take();
          if (std::any_of(ends.begin(), ends.end(),
                          [&](std::string_view end) { return stream_.at_name(end); })) {
            return block;
          }
          block.push_back(parse_tag());
      }
    }
    if (ends.size() > 0) stream_.fail_expected(fmt::format("{{% {} %}}", *(ends.end() - 1)));
    return block;
  }

  // The body of a tag, with its end tag.
  Block parse_body(std::string_view end) {
    stream_.expect_tag_end();
    Block body = parse_block({end});
    stream_.take();
    stream_.expect_tag_end();
    return body;
  }

  Node parse_tag() {
    if (stream_.current().kind != Token::Kind::kName) stream_.fail_expected("the name of a tag");
    const std::string tag = stream_.current().text;
    if (tag == "if") return parse_if();
    if (tag == "for") return parse_for();
    if (tag == "set") return parse_set();
    if (tag == "macro") return parse_macro();
    if (tag == "call") return parse_call();
    if (tag == "filter") return parse_filter();
    if (tag == "with") return parse_with();
    if (tag == "generation") return parse_generation();
    if (tag == "break") return parse_jump(Kind::kBreak);
    if (tag == "continue") return parse_jump(Kind::kContinue);
    stream_.context().unsupported("the tag '{}' is not known here", tag.substr(0, 80));
  }

  Node parse_if() {
    Node node = make(Kind::kIf);
    stream_.take();
    while (true) {
      ExpressionPtr condition = expressions_.parse_tuple(false);
      stream_.expect_tag_end();
      Block block = parse_block({"elif", "else", "endif"});
      node->branches.emplace_back(std::move(condition), std::move(block));
      if (stream_.take_name("elif")) continue;
      if (stream_.take_name("else")) {
        node->branches.emplace_back(nullptr, parse_body("endif"));
        return node;
      }
      stream_.take();
      stream_.expect_tag_end();
      return node;
    }
  }

  Target parse_single_target() {
    if (stream_.take_operator("(")) {
      Target target = parse_target();
      stream_.expect_operator(")");
      return target;
    }
    Target target;
    target.name = stream_.expect_name();
    static constexpr std::string_view kReserved[] = {"true", "false", "none",
                                                     "True", "False", "None"};
    if (std::find(std::begin(kReserved), std::end(kReserved), target.name) != std::end(kReserved)) {
      stream_.context().fail("'{}' cannot be assigned to", target.name);
    }
    return target;
  }

  // One name or several, to unpack into.
  Target parse_target() {
    const ExpressionParser::Nest nest(expressions_);
    Target first = parse_single_target();
    if (!stream_.at_operator(",")) return first;
    Target target;
    target.parts.push_back(std::move(first));
    while (stream_.take_operator(",")) {
      if (stream_.at_name("in") || stream_.at_operator("=") || stream_.at_operator(")")) break;
      target.parts.push_back(parse_single_target());
    }
    return target;
  }

  Node parse_for() {
    Node node = make(Kind::kFor);
    stream_.take();
    node->target = parse_target();
    if (!stream_.take_name("in")) stream_.fail_expected("in");
    node->expression = expressions_.parse_tuple(false);
    if (stream_.take_name("if")) node->condition = expressions_.parse();
    if (stream_.at_name("recursive")) {
      stream_.context().unsupported("recursive loops are not supported");
    }
    stream_.expect_tag_end();
    ++loops_;
    node->body = parse_block({"else", "endfor"});
    --loops_;
    if (stream_.take_name("else")) {
      node->otherwise = parse_body("endfor");
    } else {
      stream_.take();
      stream_.expect_tag_end();
    }
    return node;
  }

  Node parse_set() {
    Node node = make(Kind::kSet);
    stream_.take();
    if (stream_.following().is_operator(".")) {
      node->target.name = stream_.expect_name();
      stream_.expect_operator(".");
      node->target.attribute = stream_.expect_name();
    } else {
      node->target = parse_target();
    }
    if (stream_.take_operator("=")) {
      node->expression = expressions_.parse_tuple();
      stream_.expect_tag_end();
      return node;
    }
    node->kind = Kind::kSetBlock;
    if (stream_.take_operator("|")) node->expression = expressions_.parse_filter_chain();
    node->body = parse_body("endset");
    return node;
  }

  std::vector<Parameter> parse_parameters() {
    std::vector<Parameter> parameters;
    stream_.expect_operator("(");
    while (!stream_.at_operator(")")) {
      if (!parameters.empty()) stream_.expect_operator(",");
      Parameter parameter;
      parameter.name = stream_.expect_name();
      expressions_.count_node();
      if (stream_.take_operator("=")) {
        parameter.fallback = expressions_.parse();
      } else if (!parameters.empty() && parameters.back().fallback) {
        stream_.context().fail("the parameter '{}' without a default follows one with a default",
                               parameter.name);
      }
      parameters.push_back(std::move(parameter));
    }
    stream_.expect_operator(")");
    return parameters;
  }

  // The body of what is called like a function: loops around it cannot be left from inside.
  Block parse_function_body(std::string_view end) {
    const int outer_loops = std::exchange(loops_, 0);
    Block body = parse_body(end);
    loops_ = outer_loops;
    return body;
  }

  Node parse_macro() {
    Node node = make(Kind::kMacro);
    stream_.take();
    node->name = stream_.expect_name();
    node->parameters = parse_parameters();
    node->body = parse_function_body("endmacro");
    return node;
  }

  Node parse_call() {
    Node node = make(Kind::kCall);
    stream_.take();
    if (stream_.at_operator("(")) node->parameters = parse_parameters();
    node->expression = expressions_.parse();
    if (node->expression->kind != Expression::Kind::kCall) stream_.fail_expected("a call");
    node->body = parse_function_body("endcall");
    return node;
  }

  Node parse_filter() {
    Node node = make(Kind::kFilter);
    stream_.take();
    node->expression = expressions_.parse_filter_chain();
    node->body = parse_function_body("endfilter");
    return node;
  }

  Node parse_with() {
    Node node = make(Kind::kWith);
    stream_.take();
    while (stream_.current().kind != Token::Kind::kTagEnd) {
      if (!node->assignments.empty()) stream_.expect_operator(",");
      Target target = parse_single_target();
      stream_.expect_operator("=");
      node->assignments.emplace_back(std::move(target), expressions_.parse());
    }
    node->body = parse_body("endwith");
    return node;
  }

  // transformers marks the answers in a template by {% generation %}; they print as they are.
  Node parse_generation() {
    Node node = make(Kind::kScope);
    stream_.take();
    node->body = parse_function_body("endgeneration");
    return node;
  }

  Node parse_jump(Kind kind) {
    Node node = make(kind);
    const std::string word = stream_.take().text;
    if (loops_ == 0) stream_.context().fail("'{}' stands outside a loop", word);
    stream_.expect_tag_end();
    return node;
  }

  TokenStream& stream_;
  ExpressionParser expressions_;
  int loops_ = 0;
};

}  // namespace

Block parse(Context& context, std::string_view source) {
  TokenStream stream(context, tokenize(context, source));
  return StatementParser(stream).parse_template();
}

}  // namespace tercet::jinja
