// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/string_literal.h"

#include <charconv>

#include "tokenizer/jinja/unicode.h"

namespace tercet::jinja {
namespace {

// The character that a hexadecimal escape of `digits` digits at the front of `text` names.
char32_t hexadecimal(Context& context, std::string_view text, size_t digits) {
  uint32_t code = 0;
  const char* begin = text.data();
  const char* end = begin + std::min(digits, text.size());
  const auto result = std::from_chars(begin, end, code, 16);
  if (result.ec != std::errc() || result.ptr != begin + digits) {
    context.fail("a \\x, \\u or \\U escape lacks its {} hexadecimal digits", digits);
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
    context.fail("the escape of U+{:04X} is no character", code);
  }
  return code;
}

// Of the escape letter; '\0' when it is no simple escape.
char simple_escape(char letter) {
  constexpr std::string_view kLetters = "\\'\"abfnrtv";
  constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  const size_t place = kLetters.find(letter);
  return place == std::string_view::npos ? '\0' : kMeanings[place];
}

size_t octal(std::string_view text, std::string& out) {
  size_t used = 0;
  char32_t code = 0;
  while (used < 3 && used < text.size() && text[used] >= '0' && text[used] <= '7') {
    code = code * 8 + static_cast<char32_t>(text[used++] - '0');
  }
  append_character(code, out);
  return used;
}

// Appends what the escape behind a backslash stands for; the bytes it takes.
size_t append_escape(Context& context, std::string_view rest, std::string& out) {
  const char letter = rest.front();
  if (const char meaning = simple_escape(letter)) {
    out += meaning;
    return 1;
  }
  if (letter == '\n') return 1;
  if (letter >= '0' && letter <= '7') return octal(rest, out);
  const size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
  if (digits > 0) {
    append_character(hexadecimal(context, rest.substr(1), digits), out);
    return 1 + digits;
  }
  if (letter == 'N') context.unsupported("the escape \\N{{...}} is not supported");
  out += '\\';
  return 0;
}

}  // namespace

std::string unescape(Context& context, std::string_view literal) {
  std::string out;
  out.reserve(literal.size());
  for (size_t i = 0; i < literal.size();) {
    if (literal[i] != '\\' || i + 1 == literal.size()) {
      out += literal[i++];
    } else {
      ++i;
      i += append_escape(context, literal.substr(i), out);
    }
  }
  return out;
}

}  // namespace tercet::jinja
