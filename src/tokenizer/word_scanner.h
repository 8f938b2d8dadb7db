// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "tokenizer/unicode.h"

namespace tercet {

// A hand-written matcher for the patterns that most byte-level tokenizers have, several times as
// fast as the regular expression and equal to it (a test holds one against the other).
class WordScanner {
 public:
  // Nothing for any other pattern.
  static std::optional<WordScanner> for_pattern(std::string_view pattern);

  // The word that `text`, valid UTF-8 and not empty, starts with; at least one character.
  // `text` must reach to where the regular expression's subject ends.
  size_t next(std::string_view text) const {
    return style_ == Style::kGpt2 ? next_gpt2(text) : next_llama3(text);
  }

 private:
  enum class Style { kGpt2, kLlama3 };
  WordScanner(Style style, size_t max_digits);

  struct Char {
    uint8_t flags;
    uint32_t length;
  };
  Char char_at(const char* at) const;
  // The end of the run of characters that have (or lack) one of `flags`.
  const char* skip_while(const char* at, const char* end, uint8_t flags) const;
  const char* skip_until(const char* at, const char* end, uint8_t flags) const;
  size_t next_gpt2(std::string_view text) const;
  size_t next_llama3(std::string_view text) const;
  size_t white_space(const char* begin, const char* end, bool newlines_end_it) const;

  Style style_;
  size_t max_digits_;  // in one word, of kLlama3
  const CharTable* table_;
  std::array<uint8_t, 128> ascii_;
};

// The pattern of GPT-2, which ByteLevel pre-tokenizers use; of Llama 3; and of Qwen 2.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

}  // namespace tercet
