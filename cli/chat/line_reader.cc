// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/line_reader.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "cli/chat/edited_lines.h"
#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "core/error.h"

namespace tercet::cli {
namespace {

constexpr std::string_view kBlock = "\"\"\"";
constexpr size_t kMaxLineBytes = size_t{16} << 20;

class PlainLines final : public LineReader {
 public:
  bool interactive() const override { return false; }

  ReadResult read_line(const std::string&) override {
    while (true) {
      const size_t end = buffer_.find('\n', searched_);
      if (end != std::string::npos) return take(end, end + 1);
      searched_ = buffer_.size();
      if (buffer_.size() > kMaxLineBytes) {
        fail(ErrorCode::kBadInput, "a line of the input is longer than {} bytes", kMaxLineBytes);
      }
      std::array<char, 4096> bytes;
      const ssize_t count = read_until_stopped(STDIN_FILENO, bytes.data(), bytes.size());
      if (count > 0) {
        buffer_.append(bytes.data(), static_cast<size_t>(count));
      } else if (count == 0) {
        if (buffer_.empty()) return {};
        return take(buffer_.size(), buffer_.size());
      } else if (errno == EINTR) {
        take_stop_request();
        return {ReadResult::Kind::kInterrupted, ""};
      } else {
        const int number = errno;
        fail(ErrorCode::kIo, "cannot read standard input: {}", errno_text(number));
      }
    }
  }

 private:
  ReadResult take(size_t end, size_t next) {
    std::string line = buffer_.substr(0, end);
    buffer_.erase(0, next);
    searched_ = 0;
    if (line.ends_with('\r')) line.pop_back();
    return {ReadResult::Kind::kText, std::move(line)};
  }

  std::string buffer_;
  size_t searched_ = 0;
};

// Lines up to the one that ends the block.
ReadResult read_block(LineReader& reader, std::string text) {
  while (!text.ends_with(kBlock)) {
    ReadResult next = reader.read_line("... ");
    if (next.kind != ReadResult::Kind::kText) return next;
    text += '\n' + next.text;
  }
  text.resize(text.size() - kBlock.size());
  if (text.starts_with('\n')) text.erase(0, 1);
  if (text.ends_with('\n')) text.pop_back();
  return {ReadResult::Kind::kText, std::move(text)};
}

}  // namespace

std::unique_ptr<LineReader> make_line_reader() {
  const bool terminal = ::isatty(STDIN_FILENO) == 1 && stderr_style().interactive;
  if (terminal) return make_edited_lines();
  return std::make_unique<PlainLines>();
}

ReadResult read_message(LineReader& reader) {
  ReadResult message = reader.read_line("> ");
  if (message.kind != ReadResult::Kind::kText) return message;
  if (message.text.starts_with(kBlock)) {
    return read_block(reader, message.text.substr(kBlock.size()));
  }
  while (message.text.ends_with('\\')) {
    message.text.back() = '\n';
    ReadResult next = reader.read_line("... ");
    if (next.kind == ReadResult::Kind::kInterrupted) return next;
    message.text += next.text;
    if (next.kind == ReadResult::Kind::kEnd) break;
  }
  return message;
}

}  // namespace tercet::cli
