// SPDX-License-Identifier: Apache-2.0
#include "cli/common/output.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include "cli/common/signals.h"
#include "core/error.h"

namespace tercet::cli {
namespace {

constexpr size_t kBufferBytes = 65536;

// Not the C library's buffer, which loses what it holds when a signal arrives while it is written.
struct Waiting {
  std::string text;
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
};

Waiting& waiting() {
  static Waiting output;
  return output;
}

}  // namespace

void write_output(std::string_view text) {
  Waiting& output = waiting();
  output.text += text;
  const bool ends_a_line = output.is_terminal && text.find('\n') != std::string_view::npos;
  if (ends_a_line || output.text.size() >= kBufferBytes) flush_output();
}

void write_error_output(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

void flush_output() {
  const std::string text = std::exchange(waiting().text, {});
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t count = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (count >= 0) {
      rest.remove_prefix(static_cast<size_t>(count));
    } else if (errno != EINTR) {
      const int number = errno;
      fail(ErrorCode::kIo, "cannot write to standard output: {}", errno_text(number));
    }
  }
}

void print_json(const Json& document) {
  write_output(document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

std::string read_standard_input(size_t max_bytes) {
  std::string text;
  std::array<char, 65536> block;
  while (true) {
    const ssize_t count = read_until_stopped(STDIN_FILENO, block.data(), block.size());
    if (count == 0) return text;
    if (count < 0) {
      const int number = errno;
      throw_if_stopped();
      fail(ErrorCode::kIo, "cannot read standard input: {}", errno_text(number));
    }
    text.append(block.data(), static_cast<size_t>(count));
    if (text.size() > max_bytes) {
      fail(ErrorCode::kBadInput, "standard input holds more than {} bytes; give a smaller text",
           max_bytes);
    }
  }
}

}  // namespace tercet::cli
