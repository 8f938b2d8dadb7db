// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tokenizer/chat_template.h"

namespace tercet::cli {

// What was said so far: perhaps a system message, then the user and the model in turns.
class Conversation {
 public:
  const std::vector<ChatMessage>& messages() const { return messages_; }
  // Messages other than the system's.
  size_t turns() const { return messages_.size() - (has_system() ? 1 : 0); }

  // Sets, replaces or, with an empty text, removes the system message.
  void set_system(const std::string& text);
  void add(std::string role, std::string content);
  // Removes all but the system message.
  void clear();
  // Removes the last question with all behind it; false when there is none.
  bool undo();
  // Removes the last answer, so that it can be given again; false when the last message is none.
  bool drop_answer();
  // Removes the oldest question with its answer; false when only the last question is left.
  bool drop_oldest();

  // As JSON {"messages": [{"role", "content"}]}. Throws kIo.
  void save(const std::filesystem::path& path) const;
  // Replaces everything by what save() wrote. Throws kIo, kBadInput naming file and field; the
  // conversation is then as before.
  void load(const std::filesystem::path& path);

 private:
  bool has_system() const { return !messages_.empty() && messages_.front().role == "system"; }
  std::vector<ChatMessage> messages_;
};

}  // namespace tercet::cli
