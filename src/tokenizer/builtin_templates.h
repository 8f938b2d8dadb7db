// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace tercet {

// A chat template that comes with the program; empty when there is none of that name.
std::string_view find_builtin_template(std::string_view name);
// "bitnet, chatml, ..." for messages.
std::string builtin_template_names();

}  // namespace tercet
