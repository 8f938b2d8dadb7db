// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tokenizer/jinja/call.h"

namespace tercet::jinja {

// A method by name; nullptr when the type has none of that name. Throws kUnsupported for one that
// Python has and this has not.
Native find_text_method(Context& context, std::string_view name);
Native find_map_method(Context& context, std::string_view name);
Native find_list_method(Context& context, std::string_view name);

// An attribute or method of the `loop` variable; undefined when there is none.
Value loop_attribute(const Value& loop, std::string_view name);

// Whether `name` stands in `names`, divided by single spaces.
bool is_listed(std::string_view name, std::string_view names);

}  // namespace tercet::jinja
