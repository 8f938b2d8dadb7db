// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tokenizer/jinja/context.h"

namespace tercet::jinja {

// Python's ==.
bool equals(Context& context, const Value& a, const Value& b);
// Python's <; throws kBadInput for what has no order.
bool less(Context& context, const Value& a, const Value& b);
// Python's `item in container`; throws kBadInput when `container` can hold nothing.
bool contains(Context& context, const Value& container, const Value& item);

// The first place of `needle` at or behind `from`, or npos. Linear time, whatever the texts.
size_t find_text(Context& context, std::string_view text, std::string_view needle, size_t from = 0);
// The last place of `needle` at or before `from`, or npos. Throws kUnsupported for a long needle.
size_t find_last_text(Context& context, std::string_view text, std::string_view needle,
                      size_t from = std::string_view::npos);

}  // namespace tercet::jinja
