// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tokenizer/jinja/context.h"

namespace tercet::jinja {

// The text that Python's escapes in `literal` (without its quotes) stand for. An unknown escape
// stays as written, as in Python. Throws kUnsupported for \N{...}, kBadInput for broken ones.
std::string unescape(Context& context, std::string_view literal);

}  // namespace tercet::jinja
