// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/session.h"

#include <algorithm>
#include <utility>

namespace tercet::cli {
namespace {

// Fewer tokens than this make no answer.
constexpr int64_t kShortestAnswer = 16;

}  // namespace

ChatSession::ChatSession(Engine& engine, const Tokenizer& tokenizer, const ChatTemplate& chat,
                         GenerateOptions generation, jinja::Map variables)
    : engine_(engine),
      tokenizer_(tokenizer),
      template_(chat),
      generation_(std::move(generation)),
      variables_(std::move(variables)) {
  generation_.reuse_context = true;
}

ChatRenderOptions ChatSession::render_options() const {
  ChatRenderOptions options;
  options.variables = variables_;
  options.bos_token = tokenizer_.bos_id() < 0 ? "" : tokenizer_.piece(tokenizer_.bos_id()).text;
  options.eos_token = tokenizer_.eos_id() < 0 ? "" : tokenizer_.piece(tokenizer_.eos_id()).text;
  return options;
}

std::string ChatSession::prompt_text(const Conversation& conversation) const {
  return template_.render(conversation.messages(), render_options()).bytes();
}

std::vector<int32_t> ChatSession::prompt(const Conversation& conversation) const {
  return template_.encode(conversation.messages(), render_options(), tokenizer_);
}

bool ChatSession::fits(const std::vector<int32_t>& prompt) const {
  const int64_t least = generation_.max_tokens == 0
                            ? kShortestAnswer
                            : std::min(generation_.max_tokens, kShortestAnswer);
  return !prompt.empty() && std::ssize(prompt) + least <= engine_.context();
}

Answer ChatSession::answer(const std::vector<int32_t>& prompt,
                           const std::function<void(std::string_view)>& emit) {
  GenerateOptions options = generation_;
  const int64_t room = engine_.context() - std::ssize(prompt);
  const bool limited_by_room = options.max_tokens == 0 || options.max_tokens > room;
  if (limited_by_room) options.max_tokens = room;
  options.sampler.seed += answers_++;

  Answer answer;
  answer.seed = options.sampler.seed;
  StreamDecoder decoder(tokenizer_, false);
  const auto take = [&](const std::string& text) {
    answer.text += text;
    if (!text.empty()) emit(text);
  };
  answer.stats = engine_.generate(prompt, options, [&](int32_t token) {
    take(decoder.push(token));
    return true;
  });
  take(decoder.finish());
  answer.context_full = limited_by_room && answer.stats.reason == StopReason::kMaxTokens;
  return answer;
}

void ChatSession::set_seed(uint64_t seed) {
  generation_.sampler.seed = seed;
  answers_ = 0;
}

}  // namespace tercet::cli
