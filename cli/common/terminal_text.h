// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace tercet::cli {

// Text that others wrote (a model, a file), fit for a terminal: control characters, which could
// move the cursor, rename the window or worse, become visible signs. Line feeds and tabs stay. Of
// several parts each must end with a whole UTF-8 character.
std::string terminal_text(std::string_view text);

}  // namespace tercet::cli
