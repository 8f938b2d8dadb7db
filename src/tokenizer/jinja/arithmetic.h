// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/context.h"

namespace tercet::jinja {

// + - * / // % ** by Python's rules, for numbers, and where it defines them for strings and lists.
// Throws kBadInput for types that do not fit and for division by zero; kUnsupported for integers
// beyond 64 bits.
Value arithmetic(Context& context, Operator operation, const Value& a, const Value& b);
Value negate(Context& context, const Value& value);

}  // namespace tercet::jinja
