// SPDX-License-Identifier: Apache-2.0
#include "cli/common/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "cli/common/numbers.h"
#include "cli/common/output.h"

namespace tercet::cli {
namespace {

constexpr int kBarWidth = 16;

// ASCII only: it has to be readable on any terminal and its width is its length.
std::string bar(int64_t done, int64_t total) {
  const int filled = static_cast<int>(static_cast<double>(kBarWidth) * static_cast<double>(done) /
                                      static_cast<double>(total));
  return fmt::format("[{:#<{}}{:.<{}}]", "", filled, "", kBarWidth - filled);
}

// By the variables that decide the locale, the first that is set.
bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string text(value);
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text.find("utf-8") != std::string::npos || text.find("utf8") != std::string::npos;
  }
  return false;
}

TerminalStyle style_of(int descriptor) {
  const char* term = std::getenv("TERM");
  const char* no_color = std::getenv("NO_COLOR");
  TerminalStyle style;
  style.interactive =
      ::isatty(descriptor) == 1 && term != nullptr && std::string_view(term) != "dumb";
  style.colour = style.interactive && (no_color == nullptr || *no_color == '\0');
  style.unicode = locale_is_utf8();
  return style;
}

}  // namespace

TerminalStyle stderr_style() { return style_of(STDERR_FILENO); }
TerminalStyle stdout_style() { return style_of(STDOUT_FILENO); }

int stderr_columns() {
  winsize size = {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  const int number = columns == nullptr ? 0 : std::atoi(columns);
  return number > 0 ? number : 80;
}

Progress::Progress(std::string label, int64_t total, bool quiet)
    : label_(std::move(label)),
      total_(total),
      quiet_(quiet),
      style_(stderr_style()),
      start_(Clock::now()),
      next_draw_(start_ + std::chrono::milliseconds(style_.interactive ? 200 : 10000)) {}

Progress::~Progress() { clear(); }

std::string Progress::line_for(int64_t done, std::string_view note) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  std::string line = label_;
  if (total_ > 0) {
    done = std::clamp<int64_t>(done, 0, total_);
    // A bar stands for the two numbers, so that the note still fits into 80 columns.
    line += style_.interactive ? " " + bar(done, total_) : fmt::format(" {}/{},", done, total_);
    line +=
        fmt::format(" {:.0f} %", 100.0 * static_cast<double>(done) / static_cast<double>(total_));
  } else {
    line += fmt::format(" {}", done);
  }
  if (done > before_ && seconds > 0.0) {
    const double each = seconds / static_cast<double>(done - before_);
    line += each < 1 ? fmt::format(", {:.1f}/s", 1 / each) : fmt::format(", {:.0f} s each", each);
    if (total_ > 0) {
      line += ", " + format_seconds(each * static_cast<double>(total_ - done)) + " left";
    }
  }
  if (!note.empty()) line += fmt::format(", {}", note);
  return line;
}

void Progress::update(int64_t done, std::string_view note) {
  if (quiet_ || Clock::now() < next_draw_) return;
  const std::string line = line_for(done, note);
  if (style_.interactive) {
    const auto width = static_cast<size_t>(stderr_columns() - 1);
    write_error_output(fmt::format("\r\x1b[K{}", std::string_view(line).substr(0, width)));
    drawn_ = true;
  } else {
    write_error_output(fmt::format("{}\n", line));
  }
  std::fflush(stderr);
  next_draw_ = Clock::now() + std::chrono::milliseconds(style_.interactive ? 100 : 10000);
}

void Progress::begin_at(int64_t done) {
  start_ = Clock::now();
  before_ = done;
}

void Progress::message(std::string_view line) {
  if (quiet_) return;
  clear();
  write_error_output(fmt::format("{}\n", line));
}

void Progress::clear() {
  if (!drawn_) return;
  write_error_output("\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace tercet::cli
