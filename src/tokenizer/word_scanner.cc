// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/word_scanner.h"

namespace tercet {
namespace {

constexpr uint8_t kWordFlags = kCharLetter | kCharNumber;

// Bytes of the English contraction that `text` starts with ('s, 't, 're, 've, 'm, 'll, 'd), or 0.
size_t contraction(std::string_view text, bool any_case) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  const auto lower = [&](size_t i) {
    const char c = i < text.size() ? text[i] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  const char first = lower(1);
  const char second = lower(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  if (any_case && text.substr(1).starts_with("\xC5\xBF")) return 3;  // long s, a case of s
  return 0;
}

bool is_line_end(char c) { return c == '\r' || c == '\n'; }

}  // namespace

std::optional<WordScanner> WordScanner::for_pattern(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return WordScanner(Style::kGpt2, 0);
  if (pattern == kLlama3Pattern) return WordScanner(Style::kLlama3, 3);
  if (pattern == kQwen2Pattern) return WordScanner(Style::kLlama3, 1);
  return std::nullopt;
}

WordScanner::WordScanner(Style style, size_t max_digits)
    : style_(style), max_digits_(max_digits), table_(&CharTable::instance()) {
  for (uint32_t code = 0; code < ascii_.size(); ++code) ascii_[code] = table_->flags(code);
}

inline WordScanner::Char WordScanner::char_at(const char* at) const {
  const auto byte = static_cast<uint8_t>(*at);
  if (byte < 0x80) return {ascii_[byte], 1};
  const CodePoint point = code_point_at(at);
  return {table_->flags(point.code), point.length};
}

inline const char* WordScanner::skip_while(const char* at, const char* end, uint8_t flags) const {
  while (at < end) {
    const Char c = char_at(at);
    if ((c.flags & flags) == 0) break;
    at += c.length;
  }
  return at;
}

inline const char* WordScanner::skip_until(const char* at, const char* end, uint8_t flags) const {
  while (at < end) {
    const Char c = char_at(at);
    if ((c.flags & flags) != 0) break;
    at += c.length;
  }
  return at;
}

// White space at `begin`: all of it at the end of the text, otherwise without its last character,
// which begins the next word; a single one stands alone. With `newlines_end_it`, through the last
// line end in it if there is one.
size_t WordScanner::white_space(const char* begin, const char* end, bool newlines_end_it) const {
  const char* last = begin;  // beginning of the run's last character
  const char* after_newline = nullptr;
  const char* at = begin;
  while (at < end) {
    const Char c = char_at(at);
    if ((c.flags & kCharSpace) == 0) break;
    last = at;
    at += c.length;
    if (is_line_end(*last)) after_newline = at;
  }
  if (newlines_end_it && after_newline != nullptr)
    return static_cast<size_t>(after_newline - begin);
  const bool keeps_last = at == end || last == begin;
  return static_cast<size_t>((keeps_last ? at : last) - begin);
}

size_t WordScanner::next_gpt2(std::string_view text) const {
  if (const size_t length = contraction(text, false)) return length;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* const at = begin + (*begin == ' ' ? 1 : 0);
  if (at == end) return 1;
  const Char c = char_at(at);
  if ((c.flags & kCharSpace) != 0) return white_space(begin, end, false);
  const uint8_t kind = c.flags & kWordFlags;
  const char* const stop =
      kind != 0 ? skip_while(at, end, kind) : skip_until(at, end, kWordFlags | kCharSpace);
  return static_cast<size_t>(stop - begin);
}

size_t WordScanner::next_llama3(std::string_view text) const {
  if (const size_t length = contraction(text, true)) return length;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const Char first = char_at(begin);
  if ((first.flags & kCharLetter) != 0) {
    return static_cast<size_t>(skip_while(begin, end, kCharLetter) - begin);
  }
  if ((first.flags & kCharNumber) != 0) {
    const char* at = begin;
    for (size_t digits = 0; digits < max_digits_ && at < end; ++digits) {
      const Char c = char_at(at);
      if ((c.flags & kCharNumber) == 0) break;
      at += c.length;
    }
    return static_cast<size_t>(at - begin);
  }
  const char* const second = begin + first.length;
  const bool more = second < end;
  const uint8_t second_flags = more ? char_at(second).flags : uint8_t{0};
  if (!is_line_end(*begin) && (second_flags & kCharLetter) != 0) {
    return static_cast<size_t>(skip_while(second, end, kCharLetter) - begin);
  }
  const bool space_before_symbol =
      *begin == ' ' && more && (second_flags & (kWordFlags | kCharSpace)) == 0;
  if ((first.flags & kCharSpace) != 0 && !space_before_symbol) {
    return white_space(begin, end, true);
  }
  const char* at = skip_until(space_before_symbol ? second : begin, end, kWordFlags | kCharSpace);
  while (at < end && is_line_end(*at)) ++at;
  return static_cast<size_t>(at - begin);
}

}  // namespace tercet
