// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tokenizer/jinja/context.h"

namespace tercet::jinja {

// Python's str(): what {{ value }} prints. Undefined prints nothing. Throws kBadInput for what has
// no sensible text (functions, namespaces, iterators).
void print(Context& context, const Value& value, TextBuilder& out);
Text to_text(Context& context, const Value& value);

// Python's repr() of a float: the shortest digits that give the same number.
std::string format_real(double value);

}  // namespace tercet::jinja
