// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/text_range.h"

namespace tercet {

// A token that is looked for in the text before anything else is done to it.
struct AddedToken {
  int32_t id = -1;
  std::string text;
  bool special = false;      // a control token; decodes to nothing
  bool single_word = false;  // only where no word character is beside it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and behind it
  bool normalized = true;    // looked for in the normalized text
};

inline constexpr size_t kMaxAddedTokenBytes = 256;

// Finds a set of added tokens, of several at one place the longest. Immutable.
class AddedTokenMatcher {
 public:
  // Tokens must not be empty and have at most kMaxAddedTokenBytes bytes.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }

  // Calls out(stretch, nullptr) for text between tokens and out(text, token) for each token, in
  // order; stretches are not empty. Special tokens count only `with_special`, and not where they
  // touch `data`.
  using Output = std::function<void(std::string_view stretch, const AddedToken* token)>;
  void split(std::string_view text, bool with_special, std::span<const TextRange> data,
             const Output& out) const;

 private:
  const AddedToken* longest_at(std::string_view text) const;
  // At `at`: the longest, but a special one only within bytes that are not data.
  const AddedToken* match(std::string_view text, size_t at, std::span<const TextRange> data) const;

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> starts_{};
  std::unordered_map<uint64_t, uint32_t> edges_;  // node and byte to node; a trie from node 0
  std::vector<int64_t> token_of_;                 // of each node, -1 for none
};

}  // namespace tercet
