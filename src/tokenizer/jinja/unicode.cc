// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>

#include "tokenizer/utf8.h"

namespace tercet::jinja {
namespace {

constexpr char32_t kSharpS = 0xDF;

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0u) == 0x80; }

utf8proc_category_t category(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(character));
}

}  // namespace

char32_t next_character(std::string_view text, size_t& position) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const char32_t lead = byte(position);
  const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t character = length == 1 ? lead : lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) character = character << 6 | (byte(position + i) & 0x3Fu);
  position = std::min(position + length, text.size());
  return character;
}

void append_character(char32_t character, std::string& out) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes);
  for (utf8proc_ssize_t i = 0; i < length; ++i) out += static_cast<char>(bytes[i]);
}

size_t character_count(std::string_view text) {
  return text.size() - static_cast<size_t>(std::count_if(text.begin(), text.end(), continues));
}

size_t character_offset(std::string_view text, size_t index) {
  size_t position = 0;
  for (; index > 0 && position < text.size(); --index) {
    do {
      ++position;
    } while (position < text.size() && continues(text[position]));
  }
  return position;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_letter(char32_t character) {
  const auto kind = category(character);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_digit(char32_t character) { return category(character) == UTF8PROC_CATEGORY_ND; }
bool is_upper(char32_t character) { return category(character) == UTF8PROC_CATEGORY_LU; }
bool is_lower(char32_t character) { return category(character) == UTF8PROC_CATEGORY_LL; }

bool is_printable(char32_t character) {
  if (character == ' ') return true;
  switch (category(character)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

void append_upper(char32_t character, std::string& out) {
  if (character == kSharpS) {
    out += "SS";
    return;
  }
  append_character(
      static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(character))), out);
}

void append_lower(char32_t character, std::string& out) {
  append_character(
      static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(character))), out);
}

void append_title(char32_t character, std::string& out) {
  if (character == kSharpS) {
    out += "Ss";
    return;
  }
  append_character(
      static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(character))), out);
}

size_t skip_space(std::string_view text, size_t begin, size_t end) {
  while (begin < end) {
    size_t next = begin;
    if (!is_space(next_character(text, next))) break;
    begin = next;
  }
  return begin;
}

size_t skip_space_backwards(std::string_view text, size_t begin, size_t end) {
  while (end > begin) {
    size_t start = end - 1;
    while (start > begin && continues(text[start])) --start;
    size_t next = start;
    if (!is_space(next_character(text, next))) break;
    end = start;
  }
  return end;
}

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Prefix prefix = utf8_prefix(text);
    out += prefix.kind == Utf8Prefix::Kind::kCharacter ? text.substr(0, prefix.length)
                                                       : kReplacementCharacter;
    text.remove_prefix(prefix.length);
  }
  return out;
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Prefix prefix = utf8_prefix(text);
    if (prefix.kind != Utf8Prefix::Kind::kCharacter) return false;
    text.remove_prefix(prefix.length);
  }
  return true;
}

}  // namespace tercet::jinja
