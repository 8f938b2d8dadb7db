// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace tercet::cli {

// Whether colour and a rewritten line may be used on stderr or stdout: it is a terminal that is not
// "dumb" and NO_COLOR is not set. (`interactive` alone ignores NO_COLOR.)
struct TerminalStyle {
  bool interactive = false;
  bool colour = false;
  bool unicode = false;  // the locale's characters are UTF-8
};
TerminalStyle stderr_style();
TerminalStyle stdout_style();

// Columns of the terminal on stderr at this moment; without one COLUMNS, or 80. At least 1.
int stderr_columns();

// Progress of long work on stderr: one rewritten line on a terminal, otherwise a plain line now and
// then. Never touches stdout.
class Progress {
 public:
  // `label` names the work, e.g. "perplexity". `total` of 0 means unknown: no bar, no ETA.
  // `quiet` shows nothing.
  Progress(std::string label, int64_t total, bool quiet = false);
  // Clears the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of `total` units; `note` is shown behind, e.g. "perplexity 21.3". Cheap to call often:
  // it draws ten times a second on a terminal, every ten seconds elsewhere.
  void update(int64_t done, std::string_view note = {});

  // What is done already, when the work goes on with what was left: rates count from here.
  void begin_at(int64_t done);

  // A lasting line of its own, above the progress line.
  void message(std::string_view line);

 private:
  using Clock = std::chrono::steady_clock;
  std::string line_for(int64_t done, std::string_view note) const;
  void clear();

  std::string label_;
  int64_t total_;
  bool quiet_;
  TerminalStyle style_;
  bool drawn_ = false;
  Clock::time_point start_;
  int64_t before_ = 0;  // done when that was
  Clock::time_point next_draw_;
};

}  // namespace tercet::cli
