// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "formats/json.h"

namespace tercet::cli {

// Standard output. A full disk or closed descriptor throws kIo instead of losing output silently.
void write_output(std::string_view text);

template <typename... Args>
void print_text(fmt::format_string<Args...> format, Args&&... args) {
  write_output(fmt::format(format, std::forward<Args>(args)...));
}

// Standard error. A failure is ignored: there is nowhere left to report it.
void write_error_output(std::string_view text);

// Delivers what write_output() has buffered; call it where the user should see text at once.
// run_program() does so at the end.
void flush_output();

// The one document of a command's --json, indented, with bytes that are not UTF-8 replaced.
void print_json(const Json& document);

// `value` as a JSON number, or null when it is not finite (JSON has no infinity).
Json finite_or_null(double value);

// Everything there is on standard input. Throws kIo when it cannot be read, kInterrupted on Ctrl-C,
// kBadInput beyond `max_bytes`.
std::string read_standard_input(size_t max_bytes);

}  // namespace tercet::cli
