// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/arithmetic.h"
#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/print.h"

namespace tercet::jinja {

Value Interpreter::evaluate(const Expression& expression, const ScopePtr& scope) {
  const Context::Level level(context_);
  context_.step();
  context_.set_line(expression.line);
  const auto operand = [&](size_t i) { return evaluate(*expression.operands[i], scope); };
  switch (expression.kind) {
    case Expression::Kind::kConstant:
      return expression.constant;
    case Expression::Kind::kName:
      return evaluate_name(expression, scope);
    case Expression::Kind::kList:
      return context_.list(evaluate_all(expression.operands, scope));
    case Expression::Kind::kTuple:
      return context_.list(evaluate_all(expression.operands, scope), List::Flavor::kTuple);
    case Expression::Kind::kMap:
      return evaluate_map(expression, scope);
    case Expression::Kind::kNegate:
      return negate(context_, operand(0));
    case Expression::Kind::kPlus: {
      Value value = operand(0);
      if (!value.number()) context_.fail("'+' cannot be put before '{}'", value.type_name());
      return value;
    }
    case Expression::Kind::kNot:
      return Value(!operand(0).truthy());
    case Expression::Kind::kAnd: {
      Value left = operand(0);
      return left.truthy() ? operand(1) : left;
    }
    case Expression::Kind::kOr: {
      Value left = operand(0);
      return left.truthy() ? left : operand(1);
    }
    case Expression::Kind::kBinary: {
      const Value left = operand(0);
      return arithmetic(context_, expression.operators.front(), left, operand(1));
    }
    case Expression::Kind::kCompare:
      return evaluate_compare(expression, scope);
    case Expression::Kind::kConcat:
      return evaluate_concat(expression, scope);
    case Expression::Kind::kConditional:
      return evaluate_conditional(expression, scope);
    case Expression::Kind::kAttribute:
      return get_attribute(context_, operand(0), expression.name);
    case Expression::Kind::kSubscript: {
      const Value object = operand(0);
      return get_item(context_, object, operand(1));
    }
    case Expression::Kind::kSlice:
      return evaluate_slice(expression, scope);
    case Expression::Kind::kCall:
      return evaluate_call(expression, scope, nullptr);
    case Expression::Kind::kFilter:
    case Expression::Kind::kTest:
      return apply(expression, scope, nullptr);
  }
  return {};
}

Value Interpreter::evaluate_name(const Expression& expression, const ScopePtr& scope) {
  if (const Value* value = scope->find(expression.name)) return *value;
  if (const Native native = find_global(expression.name)) {
    auto function = std::make_shared<Function>();
    function->name = expression.name;
    function->native = native;
    return Value(std::shared_ptr<const Function>(std::move(function)));
  }
  return Value::undefined(fmt::format("'{}' is undefined", expression.name));
}

Value Interpreter::evaluate_map(const Expression& expression, const ScopePtr& scope) {
  Map map;
  for (size_t i = 0; i + 1 < expression.operands.size(); i += 2) {
    const Value key = evaluate(*expression.operands[i], scope);
    if (!map.set(key, evaluate(*expression.operands[i + 1], scope))) {
      context_.fail("'{}' cannot be a key of a mapping", key.type_name());
    }
  }
  return context_.map(std::move(map));
}

bool Interpreter::compare(Operator comparison, const Value& a, const Value& b) {
  switch (comparison) {
    case Operator::kEqual:
      return equals(context_, a, b);
    case Operator::kNotEqual:
      return !equals(context_, a, b);
    case Operator::kLess:
      return less(context_, a, b);
    case Operator::kGreater:
      return less(context_, b, a);
    case Operator::kLessEqual:
      return less(context_, a, b) || equals(context_, a, b);
    case Operator::kGreaterEqual:
      return less(context_, b, a) || equals(context_, a, b);
    case Operator::kIn:
      return contains(context_, b, a);
    default:
      return !contains(context_, b, a);
  }
}

Value Interpreter::evaluate_compare(const Expression& expression, const ScopePtr& scope) {
  Value left = evaluate(*expression.operands[0], scope);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    Value right = evaluate(*expression.operands[i + 1], scope);
    if (!compare(expression.operators[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::evaluate_concat(const Expression& expression, const ScopePtr& scope) {
  TextBuilder out(context_);
  for (const ExpressionPtr& operand : expression.operands) {
    print(context_, evaluate(*operand, scope), out);
  }
  return context_.string(out.take());
}

Value Interpreter::evaluate_conditional(const Expression& expression, const ScopePtr& scope) {
  if (evaluate(*expression.operands[0], scope).truthy()) {
    return evaluate(*expression.operands[1], scope);
  }
  if (expression.operands[2]) return evaluate(*expression.operands[2], scope);
  return Value::undefined("an inline if without else has no value");
}

Value Interpreter::evaluate_slice(const Expression& expression, const ScopePtr& scope) {
  const Value object = evaluate(*expression.operands[0], scope);
  const auto place = [&](size_t i) -> std::optional<int64_t> {
    if (!expression.operands[i]) return std::nullopt;
    const Value value = evaluate(*expression.operands[i], scope);
    if (value.is_none()) return std::nullopt;
    context_.require_defined(value);
    if (!value.integer()) context_.fail("a slice by '{}'", value.type_name());
    return value.integer();
  };
  const auto begin = place(1);
  const auto end = place(2);
  return get_slice(context_, object, begin, end, place(3));
}

std::vector<Value> Interpreter::evaluate_all(std::span<const ExpressionPtr> expressions,
                                             const ScopePtr& scope) {
  std::vector<Value> values;
  values.reserve(expressions.size());
  for (const ExpressionPtr& expression : expressions) {
    values.push_back(evaluate(*expression, scope));
  }
  return values;
}

Keywords Interpreter::evaluate_keywords(const Expression& expression, const ScopePtr& scope) {
  Keywords keywords;
  for (const auto& [name, value] : expression.keywords) {
    keywords.emplace_back(name, evaluate(*value, scope));
  }
  return keywords;
}

Value Interpreter::evaluate_call(const Expression& expression, const ScopePtr& scope,
                                 const Value* caller) {
  const Value called = evaluate(*expression.operands[0], scope);
  const std::vector<Value> arguments =
      evaluate_all(std::span(expression.operands).subspan(1), scope);
  Keywords keywords = evaluate_keywords(expression, scope);
  if (caller != nullptr) keywords.emplace_back("caller", *caller);
  context_.set_line(expression.line);
  context_.require_defined(called);
  const Function* function = called.function();
  if (function == nullptr) context_.fail("a '{}' cannot be called", called.type_name());
  if (function->macro != nullptr) return call_macro(*function, arguments, keywords);
  Call call{context_, function->name, function->self, arguments, keywords};
  return function->native(call);
}

Value Interpreter::apply(const Expression& expression, const ScopePtr& scope,
                         const Value* subject) {
  const Context::Level level(context_);
  // Only here, as templates try for what they can do without: {% if x %}{{ y | from_json }}.
  if (expression.native == nullptr) {
    context_.unsupported("the {} '{}' is not known",
                         expression.kind == Expression::Kind::kFilter ? "filter" : "test",
                         expression.name);
  }
  const Expression* own = expression.operands[0].get();
  // In a chain of filters behind a block, the innermost takes the block's text.
  const Value self = own == nullptr ? *subject
                     : own->kind == Expression::Kind::kFilter && subject != nullptr
                         ? apply(*own, scope, subject)
                         : evaluate(*own, scope);
  const std::vector<Value> arguments =
      evaluate_all(std::span(expression.operands).subspan(1), scope);
  const Keywords keywords = evaluate_keywords(expression, scope);
  context_.set_line(expression.line);
  Call call{context_, expression.name, self, arguments, keywords};
  return expression.native(call);
}

}  // namespace tercet::jinja
