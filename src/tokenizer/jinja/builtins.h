// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/call.h"

namespace tercet::jinja {

// What templates find by name. nullptr for a name that is not known.
Native find_filter(std::string_view name);
Native find_test(std::string_view name);
Native find_global(std::string_view name);

// value.name: a method of the value, bound to it, or an attribute of a loop or a namespace.
// Undefined when there is none; throws kUnsupported for a method that Python has and this has not.
Value find_method(Context& context, const Value& value, std::string_view name);

}  // namespace tercet::jinja
