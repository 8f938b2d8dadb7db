// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cmath>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/arithmetic.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/unicode.h"

namespace tercet::jinja {
namespace {

// A number as int() and float() of Python read it: white space around it, single underscores
// between digits.
template <typename Number, typename... Base>
std::optional<Number> parse_number(std::string_view text, Base... base) {
  const size_t begin = skip_space(text, 0, text.size());
  const size_t end = skip_space_backwards(text, begin, text.size());
  std::string digits(text.substr(begin, end - begin));
  if (digits.starts_with('+') && !digits.starts_with("+-")) digits.erase(0, 1);
  if (digits.starts_with('_') || digits.ends_with('_') || digits.find("__") != std::string::npos) {
    return std::nullopt;
  }
  std::erase(digits, '_');
  Number value{};
  const char* last = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), last, value, base...);
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != last) return std::nullopt;
  return value;
}

std::optional<int64_t> to_integer(double value) {
  constexpr double kLimit = 9.2e18;
  if (!(std::abs(value) < kLimit)) return std::nullopt;
  return static_cast<int64_t>(value);
}

}  // namespace

Value filter_abs(Call& call) {
  call.done();
  call.context.require_defined(call.self);
  if (const auto integer = call.self.integer()) {
    return *integer < 0 ? negate(call.context, call.self) : Value(*integer);
  }
  if (const auto real = call.self.number()) return Value(std::abs(*real));
  call.context.fail("abs: '{}' is no number", call.self.type_name());
}

Value filter_int(Call& call) {
  const Value* given = call.take("default");
  const int64_t base = call.take_integer("base", 10);
  call.done();
  if (base < 2 || base > 36) call.context.fail("int: the base must be in [2, 36]");
  call.context.require_defined(call.self);
  const Value fallback = given == nullptr ? Value(int64_t{0}) : *given;
  std::optional<int64_t> value = call.self.integer();
  if (const Text* text = call.self.string()) {
    call.context.read(text->size());
    value = parse_number<int64_t>(text->bytes(), static_cast<int>(base));
    if (!value) {
      const auto real = parse_number<double>(text->bytes());
      if (real) value = to_integer(*real);
    }
  } else if (call.self.is_real()) {
    value = to_integer(*call.self.number());
  }
  return value ? Value(*value) : fallback;
}

Value filter_float(Call& call) {
  const Value* given = call.take("default");
  call.done();
  call.context.require_defined(call.self);
  if (const auto number = call.self.number()) return Value(*number);
  if (const Text* text = call.self.string()) {
    call.context.read(text->size());
    if (const auto number = parse_number<double>(text->bytes())) return Value(*number);
  }
  return given == nullptr ? Value(0.0) : *given;
}

Value filter_round(Call& call) {
  const int64_t precision = call.take_integer("precision", 0);
  const Text* method = call.take_string("method");
  call.done();
  Context& context = call.context;
  if (precision < 0 || precision > 20) context.unsupported("round: a precision not in [0, 20]");
  context.require_defined(call.self);
  const auto number = call.self.number();
  if (!number) context.fail("round: '{}' is no number", call.self.type_name());
  const std::string_view kind = method == nullptr ? "common" : std::string_view(method->bytes());
  if (kind == "common") {
    if (const auto integer = call.self.integer()) return Value(*integer);
    // Decimal digits, correctly rounded, are what Python's round() goes by.
    return Value(std::stod(fmt::format("{:.{}f}", *number, static_cast<int>(precision))));
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (kind == "ceil") return Value(std::ceil(*number * scale) / scale);
  if (kind == "floor") return Value(std::floor(*number * scale) / scale);
  context.fail("round: the method must be common, ceil or floor");
}

Value filter_sum(Call& call) {
  const Value* attribute = call.take("attribute");
  const Value* start = call.take("start");
  call.done();
  Value total = start == nullptr ? Value(int64_t{0}) : *start;
  for (const Value& item : items_of(call.context, call.self)) {
    const bool whole = attribute == nullptr || attribute->is_none();
    total = arithmetic(call.context, Operator::kAdd, total,
                       whole ? item : get_path(call.context, item, *attribute));
  }
  return total;
}

}  // namespace tercet::jinja
