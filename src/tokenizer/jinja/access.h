// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "tokenizer/jinja/context.h"

namespace tercet::jinja {

// object.name and object[index], by Jinja's rules: the first looks for methods before members, the
// second for members before methods. What is not there is undefined; anything of something
// undefined is an error.
Value get_attribute(Context& context, const Value& object, const std::string& name);
Value get_item(Context& context, const Value& object, const Value& index);
// object[begin:end:step], each nothing when left out.
Value get_slice(Context& context, const Value& object, std::optional<int64_t> begin,
                std::optional<int64_t> end, std::optional<int64_t> step);
// A path such as "function.name" or "0", as the `attribute` of filters.
Value get_path(Context& context, const Value& object, const Value& path);

// What a loop over `value` sees: items, characters, keys. Throws kBadInput when it has none.
std::vector<Value> items_of(Context& context, const Value& value);
// Python's len(); nothing for what has none.
std::optional<int64_t> length_of(Context& context, const Value& value);

}  // namespace tercet::jinja
