// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/text_operations.h"

#include <algorithm>

#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/unicode.h"

namespace tercet::jinja {
namespace {

constexpr auto npos = std::string_view::npos;

// Python's str.splitlines().
bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

size_t previous_character(std::string_view text, size_t end) {
  do {
    --end;
  } while ((static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80);
  return end;
}

Value part(Context& context, const Text& text, size_t begin, size_t end) {
  context.step();
  context.allocate(end - begin);
  return context.string(text.slice(begin, end));
}

std::vector<Value> split_white_space(Context& context, const Text& text, int64_t limit) {
  std::vector<Value> parts;
  const std::string& bytes = text.bytes();
  size_t begin = skip_space(bytes, 0, bytes.size());
  while (begin < bytes.size()) {
    size_t end = begin;
    if (limit >= 0 && std::ssize(parts) == limit) {
      end = bytes.size();
    } else {
      for (size_t next = end; next < bytes.size(); end = next) {
        if (is_space(next_character(bytes, next))) break;
      }
    }
    parts.push_back(part(context, text, begin, end));
    begin = skip_space(bytes, end, bytes.size());
  }
  return parts;
}

void append_cased(char32_t character, Case wanted, bool first, std::string& out) {
  switch (wanted) {
    case Case::kUpper:
      return append_upper(character, out);
    case Case::kLower:
      return append_lower(character, out);
    case Case::kWordTitle:
      return first ? append_upper(character, out) : append_lower(character, out);
    default:
      return first ? append_title(character, out) : append_lower(character, out);
  }
}

// Whether the character behind `c` begins a word.
bool begins_word(char32_t c, Case wanted) {
  if (wanted == Case::kTitle) return !is_upper(c) && !is_lower(c);
  if (wanted == Case::kWordTitle) {
    return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  }
  return false;
}

}  // namespace

Text strip(Context& context, const Text& text, const Text* characters, Side side) {
  context.read(text.size());
  const std::string& bytes = text.bytes();
  size_t begin = 0;
  size_t end = bytes.size();
  const auto strips = [&](size_t from, size_t to) {
    context.read(characters->size());
    return characters->bytes().find(bytes.substr(from, to - from)) != npos;
  };
  if (side != Side::kRight && characters == nullptr) begin = skip_space(bytes, begin, end);
  if (side != Side::kLeft && characters == nullptr) end = skip_space_backwards(bytes, begin, end);
  while (characters != nullptr && side != Side::kRight && begin < end) {
    size_t next = begin;
    next_character(bytes, next);
    if (!strips(begin, next)) break;
    begin = next;
  }
  while (characters != nullptr && side != Side::kLeft && begin < end) {
    const size_t last = previous_character(bytes, end);
    if (!strips(last, end)) break;
    end = last;
  }
  context.allocate(end - begin);
  return text.slice(begin, end);
}

Text replace(Context& context, const Text& text, const Text& from, const Text& to, int64_t count) {
  TextBuilder out(context);
  const std::string& bytes = text.bytes();
  size_t done = 0;
  for (size_t place = 0; count != 0; --count) {
    context.step();
    // Behind the characters that an empty `from` was put before.
    const size_t found = from.empty() ? place : find_text(context, bytes, from.bytes(), place);
    if (found == npos || found > bytes.size()) break;
    out.append(text, done, found);
    out.append(to);
    done = found + from.size();
    place = done;
    if (from.empty()) {
      if (place == bytes.size()) break;
      next_character(bytes, place);
    }
  }
  out.append(text, done, bytes.size());
  return out.take();
}

std::vector<Value> split(Context& context, const Text& text, const Text* separator, int64_t limit) {
  context.read(text.size());
  if (separator == nullptr) return split_white_space(context, text, limit);
  if (separator->empty()) context.fail("split: the separator is empty");
  std::vector<Value> parts;
  size_t begin = 0;
  while (limit < 0 || std::ssize(parts) < limit) {
    const size_t found = find_text(context, text.bytes(), separator->bytes(), begin);
    if (found == npos) break;
    parts.push_back(part(context, text, begin, found));
    begin = found + separator->size();
  }
  parts.push_back(part(context, text, begin, text.size()));
  return parts;
}

std::vector<Value> split_right(Context& context, const Text& text, const Text& separator,
                               int64_t limit) {
  if (separator.empty()) context.fail("rsplit: the separator is empty");
  std::vector<Value> parts;
  size_t end = text.size();
  while ((limit < 0 || std::ssize(parts) < limit) && end >= separator.size()) {
    const size_t found =
        find_last_text(context, text.bytes(), separator.bytes(), end - separator.size());
    if (found == npos) break;
    parts.push_back(part(context, text, found + separator.size(), end));
    end = found;
  }
  parts.push_back(part(context, text, 0, end));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Value> split_lines(Context& context, const Text& text, bool keep_ends) {
  context.read(text.size());
  std::vector<Value> lines;
  const std::string& bytes = text.bytes();
  for (size_t begin = 0; begin < bytes.size();) {
    size_t end = begin;
    size_t next = begin;
    while (next < bytes.size()) {
      end = next;
      const char32_t c = next_character(bytes, next);
      if (is_line_end(c)) {
        if (c == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
        break;
      }
      end = next;
    }
    lines.push_back(part(context, text, begin, keep_ends ? next : end));
    begin = next;
  }
  return lines;
}

Text reverse(Context& context, const Text& text) {
  context.read(text.size());
  TextBuilder out(context);
  for (size_t end = text.size(); end > 0;) {
    const size_t begin = previous_character(text.bytes(), end);
    out.append(text, begin, end);
    end = begin;
  }
  return out.take();
}

Text change_case(Context& context, const Text& text, Case wanted) {
  context.read(text.size());
  TextBuilder out(context);
  const std::string& bytes = text.bytes();
  bool first = true;
  std::string character;
  for (size_t position = 0; position < bytes.size();) {
    const Origin origin = text.origin_at(position);
    const char32_t c = next_character(bytes, position);
    character.clear();
    append_cased(c, wanted, first, character);
    out.append(character, origin);
    first = begins_word(c, wanted);
  }
  return out.take();
}

}  // namespace tercet::jinja
