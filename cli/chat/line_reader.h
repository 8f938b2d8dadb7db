// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

namespace tercet::cli {

struct ReadResult {
  enum class Kind { kText, kEnd, kInterrupted };  // kEnd: end of input or Ctrl-D
  Kind kind = Kind::kEnd;
  std::string text;
};

// Reads lines from standard input, without their line feed. Ctrl-C (the flag of signals.h) ends a
// read with kInterrupted and clears the flag. Throws kIo, kBadInput for a line above 16 MiB.
class LineReader {
 public:
  virtual ~LineReader() = default;
  // `prompt` is shown on a terminal only.
  virtual ReadResult read_line(const std::string& prompt) = 0;
  // Whether someone sits before it.
  virtual bool interactive() const = 0;
};

// With editing and a history of this session when standard input and error are terminals (libedit),
// plain otherwise.
std::unique_ptr<LineReader> make_line_reader();

// A message: a line; or several, each but the last with a backslash at its end; or what stands
// between """ at the beginning of a line and """ at the end of one.
ReadResult read_message(LineReader& reader);

}  // namespace tercet::cli
