// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/context.h"

namespace tercet::jinja {

// The syntax tree of a template. Throws kBadInput naming the line for what is no template or above
// the limits, kUnsupported naming tags, filters and tests that are not known.
Block parse(Context& context, std::string_view source);

}  // namespace tercet::jinja
