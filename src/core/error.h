// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace tercet {

// What went wrong, in the terms of the command line contract (DESIGN.md section 5).
enum class ErrorCode {
  kUsage,        // the user asked for something that makes no sense        exit 2
  kBadInput,     // a file or text is damaged or inconsistent               exit 3
  kUnsupported,  // well-formed, but not something this version handles     exit 3
  kIo,           // the operating system refused: missing, full, unreadable exit 4
  kInternal,     // a fault of ours                                         exit 5
  kInterrupted,  // the user stopped it; state is saved                     exit 130
};

// The one exception type of the library. `what()` is a single line that names the file, tensor or
// field and says what to do about it.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

// Process exit status for `code` (DESIGN.md section 5).
int exit_code(ErrorCode code) noexcept;

// Throws Error{code, formatted message}.
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// The text of `errno` as the operating system names it, e.g. "No space left on device".
std::string errno_text(int error_number);

}  // namespace tercet
