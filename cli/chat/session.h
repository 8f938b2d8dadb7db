// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/chat/conversation.h"
#include "runtime/engine.h"

namespace tercet::cli {

struct Answer {
  std::string text;
  GenerateStats stats;
  uint64_t seed = 0;
  bool context_full = false;  // it ends because the context does
};

// One model that answers: keeps what it has read of a conversation from one answer to the next.
class ChatSession {
 public:
  // `generation`: sampling and stop ids; max_tokens of 0: until the context is full. `variables`
  // are given to the template. All must outlive this but the options.
  ChatSession(Engine& engine, const Tokenizer& tokenizer, const ChatTemplate& chat,
              GenerateOptions generation, jinja::Map variables);

  GenerateOptions& generation() { return generation_; }
  const Engine& engine() const { return engine_; }

  // The prompt for the next answer, as text and as ids. Throws what the template says.
  std::string prompt_text(const Conversation& conversation) const;
  std::vector<int32_t> prompt(const Conversation& conversation) const;
  // Whether the context has room for the prompt and the shortest sensible answer.
  bool fits(const std::vector<int32_t>& prompt) const;

  // Generates the answer, handing out its text as it comes, in whole characters. Each answer draws
  // from a seed of its own: the session's plus the number of answers before.
  Answer answer(const std::vector<int32_t>& prompt,
                const std::function<void(std::string_view)>& emit);
  // Begins a new row of seeds.
  void set_seed(uint64_t seed);

 private:
  ChatRenderOptions render_options() const;

  Engine& engine_;
  const Tokenizer& tokenizer_;
  const ChatTemplate& template_;
  GenerateOptions generation_;
  jinja::Map variables_;
  uint64_t answers_ = 0;
};

}  // namespace tercet::cli
