// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "cli/chat/conversation.h"
#include "cli/chat/line_reader.h"
#include "cli/chat/session.h"
#include "cli/common/progress.h"

namespace tercet::cli {

struct ChatLoopOptions {
  bool json = false;
  bool quiet = false;
  bool show_prompt = false;
  bool drop_oldest = false;  // instead of an error when the context is full
  bool single = false;       // end behind the first answer
  std::optional<std::string> first_message;
};

// The conversation with the person: reads messages and commands, prints answers. Answers go to
// standard output, everything else to standard error.
class ChatLoop {
 public:
  ChatLoop(ChatSession& session, LineReader& reader, ChatLoopOptions options);

  Conversation& conversation() { return conversation_; }

  // Until the end of the input or /exit. At a terminal errors are told and the talk goes on;
  // otherwise they are thrown. Throws kInterrupted on the second Ctrl-C at the prompt, SIGTERM, and
  // the first Ctrl-C when nobody sits there.
  void run();

 private:
  enum class Next { kGoOn, kLeave };
  Next handle(const std::string& message);
  Next handle_command(const std::string& line);
  void handle_interrupt();
  void say(const std::string& message);
  void regenerate();
  void answer();
  std::vector<int32_t> fitting_prompt();
  void print_piece(std::string_view piece);
  void print_answer_json(const Answer& answer) const;
  void tell_stop_reason(const Answer& answer);
  void set_temperature(const std::string& argument);
  void set_seed(const std::string& argument);
  void print_stats() const;
  void note(const std::string& text) const;

  ChatSession& session_;
  LineReader& reader_;
  ChatLoopOptions options_;
  TerminalStyle style_;
  Conversation conversation_;
  std::optional<Answer> last_;
  bool interrupted_before_ = false;
};

}  // namespace tercet::cli
