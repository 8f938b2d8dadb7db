// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "cli/chat/line_reader.h"

namespace tercet::cli {

// Lines from a terminal, edited through libedit in the user's locale, or in C.UTF-8 when that knows
// no UTF-8. The history is kept in memory only.
std::unique_ptr<LineReader> make_edited_lines();

}  // namespace tercet::cli
