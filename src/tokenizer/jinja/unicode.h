// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// Characters as Python sees them. All text given here is valid UTF-8.
namespace tercet::jinja {

// The character at `position`, which moves behind it.
char32_t next_character(std::string_view text, size_t& position);
void append_character(char32_t character, std::string& out);

// Characters in `text`.
size_t character_count(std::string_view text);
// The byte where the character number `index`, at most character_count(), begins.
size_t character_offset(std::string_view text, size_t index);

// What str.isspace() and the \s of a regular expression hold to be white space.
bool is_space(char32_t character);
bool is_letter(char32_t character);
bool is_digit(char32_t character);
bool is_upper(char32_t character);
bool is_lower(char32_t character);
// Whether repr() shows the character itself.
bool is_printable(char32_t character);

// Appends the character in upper, lower or title case: one character each, but for the sharp s.
void append_upper(char32_t character, std::string& out);
void append_lower(char32_t character, std::string& out);
void append_title(char32_t character, std::string& out);

// The first byte that is not white space, and the one behind the last that is not.
size_t skip_space(std::string_view text, size_t begin, size_t end);
size_t skip_space_backwards(std::string_view text, size_t begin, size_t end);

// `text` with what is not UTF-8 replaced by U+FFFD.
std::string repair_utf8(std::string_view text);
bool is_valid_utf8(std::string_view text);

}  // namespace tercet::jinja
