// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/arithmetic.h"

#include <cmath>
#include <limits>

#include "core/checked.h"

namespace tercet::jinja {
namespace {

const char* symbol(Operator operation) {
  switch (operation) {
    case Operator::kAdd:
      return "+";
    case Operator::kSubtract:
      return "-";
    case Operator::kMultiply:
      return "*";
    case Operator::kDivide:
      return "/";
    case Operator::kFloorDivide:
      return "//";
    case Operator::kModulo:
      return "%";
    default:
      return "**";
  }
}

[[noreturn]] void too_large(Context& context) {
  context.unsupported("an integer does not fit 64 bits");
}

int64_t power(Context& context, int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; --exponent) {
    context.step();
    if (__builtin_mul_overflow(result, base, &result)) too_large(context);
    if (result == 0 || result == 1) {
      if (base == result) break;
    }
  }
  return result;
}

// Rounded to minus infinity, as Python divides.
int64_t floor_divide(Context& context, int64_t a, int64_t b) {
  if (a == std::numeric_limits<int64_t>::min() && b == -1) too_large(context);
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t floor_modulo(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Value integers(Context& context, Operator operation, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (operation) {
    case Operator::kAdd:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::kDivide:
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case Operator::kFloorDivide:
      result = floor_divide(context, a, b);
      break;
    case Operator::kModulo:
      result = floor_modulo(a, b);
      break;
    default:
      if (b < 0) return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
      result = power(context, a, b);
      break;
  }
  if (overflow) too_large(context);
  return Value(result);
}

Value reals(Operator operation, double a, double b) {
  switch (operation) {
    case Operator::kAdd:
      return Value(a + b);
    case Operator::kSubtract:
      return Value(a - b);
    case Operator::kMultiply:
      return Value(a * b);
    case Operator::kDivide:
      return Value(a / b);
    case Operator::kFloorDivide:
      return Value(std::floor(a / b));
    case Operator::kModulo: {
      const double rest = std::fmod(a, b);
      return Value(rest != 0.0 && (rest < 0.0) != (b < 0.0) ? rest + b : rest);
    }
    default:
      return Value(std::pow(a, b));
  }
}

Value numbers(Context& context, Operator operation, const Value& a, const Value& b) {
  const bool divides = operation == Operator::kDivide || operation == Operator::kFloorDivide ||
                       operation == Operator::kModulo;
  if (divides && *b.number() == 0.0) context.fail("division by zero");
  if (operation == Operator::kPower && *a.number() == 0.0 && *b.number() < 0.0) {
    context.fail("0 cannot be raised to a negative power");
  }
  if (a.integer() && b.integer()) return integers(context, operation, *a.integer(), *b.integer());
  return reals(operation, *a.number(), *b.number());
}

Value repeat(Context& context, const Value& value, int64_t times) {
  const uint64_t count = times < 0 ? 0 : static_cast<uint64_t>(times);
  if (const Text* text = value.string()) {
    const auto bytes = checked_mul(count, text->size());
    context.allocate(bytes.value_or(std::numeric_limits<size_t>::max()));
    Text out;
    if (text->empty()) return context.string(std::move(out));
    for (uint64_t i = 0; i < count; ++i) {
      context.step();
      out.append(*text);
    }
    return context.string(std::move(out));
  }
  const List& list = *value.list();
  const auto items = checked_mul(count, list.items.size());
  context.check_items(items.value_or(std::numeric_limits<size_t>::max()));
  std::vector<Value> out;
  if (!list.items.empty()) {
    for (uint64_t i = 0; i < count; ++i) {
      context.step(list.items.size());
      out.insert(out.end(), list.items.begin(), list.items.end());
    }
  }
  return context.list(std::move(out), list.flavor);
}

bool is_row(const Value& value) {
  const List* list = value.list();
  return value.string() != nullptr || (list != nullptr && list->flavor <= List::Flavor::kTuple);
}

Value join_lists(Context& context, const List& a, const List& b) {
  context.check_items(a.items.size() + b.items.size());
  context.step(1 + (a.items.size() + b.items.size()) / 8);
  std::vector<Value> items;
  items.reserve(a.items.size() + b.items.size());
  items.insert(items.end(), a.items.begin(), a.items.end());
  items.insert(items.end(), b.items.begin(), b.items.end());
  return context.list(std::move(items), a.flavor);
}

}  // namespace

Value arithmetic(Context& context, Operator operation, const Value& a, const Value& b) {
  context.step();
  context.require_defined(a);
  context.require_defined(b);
  if (a.number() && b.number()) return numbers(context, operation, a, b);
  if (operation == Operator::kAdd && a.string() != nullptr && b.string() != nullptr) {
    TextBuilder out(context);
    out.append(*a.string());
    out.append(*b.string());
    return context.string(out.take());
  }
  if (operation == Operator::kAdd && a.list() != nullptr && b.list() != nullptr && is_row(a) &&
      a.list()->flavor == b.list()->flavor) {
    return join_lists(context, *a.list(), *b.list());
  }
  if (operation == Operator::kMultiply && is_row(a) && b.integer()) {
    return repeat(context, a, *b.integer());
  }
  if (operation == Operator::kMultiply && is_row(b) && a.integer()) {
    return repeat(context, b, *a.integer());
  }
  if (operation == Operator::kModulo && a.string() != nullptr) {
    context.unsupported("formatting of strings by '%' is not supported; use '~'");
  }
  context.fail("'{}' cannot be used between '{}' and '{}'", symbol(operation), a.type_name(),
               b.type_name());
}

Value negate(Context& context, const Value& value) {
  context.require_defined(value);
  if (const auto integer = value.integer()) {
    if (*integer == std::numeric_limits<int64_t>::min()) too_large(context);
    return Value(-*integer);
  }
  if (const auto real = value.number()) return Value(-*real);
  context.fail("'-' cannot be put before '{}'", value.type_name());
}

}  // namespace tercet::jinja
