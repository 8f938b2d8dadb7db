// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/text_operations.h"

namespace tercet::jinja {
namespace {

Value is_defined(Call& call) { return Value(!call.self.is_undefined()); }
Value is_undefined(Call& call) { return Value(call.self.is_undefined()); }
Value is_none(Call& call) { return Value(call.self.is_none()); }
Value is_string(Call& call) { return Value(call.self.string() != nullptr); }
Value is_number(Call& call) { return Value(call.self.is_number()); }
Value is_integer(Call& call) { return Value(call.self.is_integer()); }
Value is_float(Call& call) { return Value(call.self.is_real()); }
Value is_boolean(Call& call) { return Value(call.self.is_boolean()); }
Value is_true(Call& call) { return Value(call.self.is_boolean() && call.self.boolean()); }
Value is_false(Call& call) { return Value(call.self.is_boolean() && !call.self.boolean()); }
Value is_mapping(Call& call) { return Value(call.self.map() != nullptr); }
Value is_callable(Call& call) { return Value(call.self.function() != nullptr); }

Value is_iterable(Call& call) {
  const Value& value = call.self;
  return Value(value.is_undefined() || value.string() != nullptr || value.list() != nullptr ||
               value.map() != nullptr);
}

// As in Jinja, whatever has a length and an index: undefined values too.
Value is_sequence(Call& call) {
  const Value& value = call.self;
  const List* list = value.list();
  return Value(value.is_undefined() || value.string() != nullptr || value.map() != nullptr ||
               (list != nullptr && list->is_sequence()));
}

bool has_case(Call& call, Case wanted) {
  const Text text = call.self_text();
  const bool has_letters = change_case(call.context, text, Case::kUpper).bytes() !=
                           change_case(call.context, text, Case::kLower).bytes();
  return has_letters && change_case(call.context, text, wanted).bytes() == text.bytes();
}
Value is_lower_case(Call& call) { return Value(has_case(call, Case::kLower)); }
Value is_upper_case(Call& call) { return Value(has_case(call, Case::kUpper)); }

int64_t remainder(Call& call, int64_t divisor) {
  if (!call.self.integer()) {
    call.context.require_defined(call.self);
    call.context.fail("{}: '{}' is no integer", call.name, call.self.type_name());
  }
  if (divisor == 0) call.context.fail("division by zero");
  return divisor == -1 ? 0 : *call.self.integer() % divisor;
}
Value is_odd(Call& call) { return Value(remainder(call, 2) != 0); }
Value is_even(Call& call) { return Value(remainder(call, 2) == 0); }
Value is_divisible(Call& call) {
  const Value& divisor = call.require("num");
  if (!divisor.integer()) call.context.fail("divisibleby: the divisor is no integer");
  return Value(remainder(call, *divisor.integer()) == 0);
}

Value is_equal(Call& call) { return Value(equals(call.context, call.self, call.require("other"))); }
Value is_not_equal(Call& call) {
  return Value(!equals(call.context, call.self, call.require("other")));
}
Value is_less(Call& call) { return Value(less(call.context, call.self, call.require("other"))); }
Value is_greater(Call& call) { return Value(less(call.context, call.require("other"), call.self)); }
Value is_less_or_equal(Call& call) {
  const Value& other = call.require("other");
  return Value(equals(call.context, call.self, other) || less(call.context, call.self, other));
}
Value is_greater_or_equal(Call& call) {
  const Value& other = call.require("other");
  return Value(equals(call.context, call.self, other) || less(call.context, other, call.self));
}
Value is_in(Call& call) { return Value(contains(call.context, call.require("seq"), call.self)); }

template <Native test>
Value checked(Call& call) {
  Value result = test(call);
  call.done();
  return result;
}

struct Named {
  std::string_view name;
  Native native;
};

constexpr std::array kTests = {
    Named{"!=", checked<is_not_equal>},
    Named{"<", checked<is_less>},
    Named{"<=", checked<is_less_or_equal>},
    Named{"==", checked<is_equal>},
    Named{">", checked<is_greater>},
    Named{">=", checked<is_greater_or_equal>},
    Named{"boolean", checked<is_boolean>},
    Named{"callable", checked<is_callable>},
    Named{"defined", checked<is_defined>},
    Named{"divisibleby", checked<is_divisible>},
    Named{"eq", checked<is_equal>},
    Named{"equalto", checked<is_equal>},
    Named{"even", checked<is_even>},
    Named{"false", checked<is_false>},
    Named{"float", checked<is_float>},
    Named{"ge", checked<is_greater_or_equal>},
    Named{"greaterthan", checked<is_greater>},
    Named{"gt", checked<is_greater>},
    Named{"in", checked<is_in>},
    Named{"integer", checked<is_integer>},
    Named{"iterable", checked<is_iterable>},
    Named{"le", checked<is_less_or_equal>},
    Named{"lessthan", checked<is_less>},
    Named{"lower", checked<is_lower_case>},
    Named{"lt", checked<is_less>},
    Named{"mapping", checked<is_mapping>},
    Named{"ne", checked<is_not_equal>},
    Named{"none", checked<is_none>},
    Named{"number", checked<is_number>},
    Named{"odd", checked<is_odd>},
    Named{"sequence", checked<is_sequence>},
    Named{"string", checked<is_string>},
    Named{"true", checked<is_true>},
    Named{"undefined", checked<is_undefined>},
    Named{"upper", checked<is_upper_case>},
};

}  // namespace

Native find_test(std::string_view name) {
  const auto found = std::find_if(kTests.begin(), kTests.end(),
                                  [&](const Named& entry) { return entry.name == name; });
  return found == kTests.end() ? nullptr : found->native;
}

}  // namespace tercet::jinja
