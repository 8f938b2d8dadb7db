// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

#include "tokenizer/unicode.h"

namespace tercet {
namespace {

uint64_t edge(uint32_t node, char byte) { return uint64_t{node} << 8 | static_cast<uint8_t>(byte); }

uint8_t flags_at(std::string_view text, size_t at) {
  return CharTable::instance().flags(code_point_at(text.data() + at).code);
}

// Where the last character before `at`, not 0, begins.
size_t before(std::string_view text, size_t at) {
  do {
    --at;
  } while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0u) == 0x80u);
  return at;
}

bool is_word_char(std::string_view text, size_t at) {
  return text[at] == '_' || (flags_at(text, at) & (kCharLetter | kCharNumber | kCharMark)) != 0;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  if (begin > 0 && is_word_char(text, before(text, begin))) return false;
  return end == text.size() || !is_word_char(text, end);
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), token_of_(1, -1) {
  for (size_t index = 0; index < tokens_.size(); ++index) {
    const std::string& text = tokens_[index].text;
    starts_[static_cast<uint8_t>(text[0])] = true;
    uint32_t node = 0;
    for (const char byte : text) {
      const auto [place, added] =
          edges_.emplace(edge(node, byte), static_cast<uint32_t>(token_of_.size()));
      if (added) token_of_.push_back(-1);
      node = place->second;
    }
    if (token_of_[node] < 0) token_of_[node] = static_cast<int64_t>(index);
  }
}

const AddedToken* AddedTokenMatcher::longest_at(std::string_view text) const {
  const AddedToken* found = nullptr;
  uint32_t node = 0;
  for (const char byte : text) {
    const auto next = edges_.find(edge(node, byte));
    if (next == edges_.end()) break;
    node = next->second;
    if (token_of_[node] >= 0) found = &tokens_[static_cast<size_t>(token_of_[node])];
  }
  return found;
}

const AddedToken* AddedTokenMatcher::match(std::string_view text, size_t at,
                                           std::span<const TextRange> data) const {
  const AddedToken* token = longest_at(text.substr(at));
  if (token == nullptr || !token->special || !touches_any(data, at, at + token->text.size())) {
    return token;
  }
  return longest_at(text.substr(at, free_bytes(data, at, text.size())));
}

void AddedTokenMatcher::split(std::string_view text, bool with_special,
                              std::span<const TextRange> data, const Output& out) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    if (!starts_[static_cast<uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    const AddedToken* token = match(text, at, data);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + token->text.size();
    at = end;
    if (token->special && !with_special) continue;
    if (token->single_word && !stands_alone(text, begin, end)) continue;
    while (token->lstrip && begin > done && (flags_at(text, before(text, begin)) & kCharSpace)) {
      begin = before(text, begin);
    }
    while (token->rstrip && end < text.size() && (flags_at(text, end) & kCharSpace)) {
      end += code_point_at(text.data() + end).length;
    }
    begin = std::max(begin, done);
    if (begin > done) out(text.substr(done, begin - done), nullptr);
    out(text.substr(begin, end - begin), token);
    done = end;
    at = std::max(at, end);
  }
  if (done < text.size()) out(text.substr(done), nullptr);
}

}  // namespace tercet
