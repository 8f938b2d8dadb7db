// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/conversation.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "formats/json.h"

namespace tercet::cli {
namespace {

constexpr size_t kMaxFileBytes = size_t{64} << 20;

ChatMessage read_message(const Json& entry, size_t index, const std::string& origin) {
  const auto text = [&](const char* field) {
    if (!entry.is_object() || !entry.contains(field) || !entry[field].is_string()) {
      fail(ErrorCode::kBadInput, "{}: messages[{}].{} is no string", origin, index, field);
    }
    return entry[field].get<std::string>();
  };
  ChatMessage message{text("role"), text("content")};
  if (message.role != "user" && message.role != "assistant" &&
      (message.role != "system" || index > 0)) {
    fail(ErrorCode::kBadInput,
         "{}: messages[{}].role must be user, assistant or, for the first, system", origin, index);
  }
  return message;
}

}  // namespace

void Conversation::set_system(const std::string& text) {
  if (has_system()) messages_.erase(messages_.begin());
  if (!text.empty()) messages_.insert(messages_.begin(), {"system", text});
}

void Conversation::add(std::string role, std::string content) {
  messages_.push_back({std::move(role), std::move(content)});
}

void Conversation::clear() { messages_.resize(has_system() ? 1 : 0); }

bool Conversation::undo() {
  const auto last = std::find_if(messages_.rbegin(), messages_.rend(),
                                 [](const ChatMessage& m) { return m.role == "user"; });
  if (last == messages_.rend()) return false;
  messages_.erase(last.base() - 1, messages_.end());
  return true;
}

bool Conversation::drop_answer() {
  if (messages_.empty() || messages_.back().role != "assistant") return false;
  messages_.pop_back();
  return true;
}

bool Conversation::drop_oldest() {
  const auto begin = messages_.begin() + (has_system() ? 1 : 0);
  if (begin == messages_.end()) return false;
  const auto next = std::find_if(begin + 1, messages_.end(),
                                 [](const ChatMessage& m) { return m.role == "user"; });
  if (next == messages_.end()) return false;
  messages_.erase(begin, next);
  return true;
}

void Conversation::save(const std::filesystem::path& path) const {
  Json list = Json::array();
  for (const ChatMessage& message : messages_) {
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  const Json document = {{"messages", list}};
  write_text_file(path, document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void Conversation::load(const std::filesystem::path& path) {
  const Json document = read_json_file(path, kMaxFileBytes);
  if (!document.is_object() || !document.contains("messages") || !document["messages"].is_array()) {
    fail(ErrorCode::kBadInput, "{}: no saved conversation: 'messages' is no list", path.string());
  }
  std::vector<ChatMessage> messages;
  for (const Json& entry : document["messages"]) {
    messages.push_back(read_message(entry, messages.size(), path.string()));
  }
  messages_ = std::move(messages);
}

}  // namespace tercet::cli
