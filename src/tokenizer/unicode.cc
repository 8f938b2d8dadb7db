// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/unicode.h"

#include <fmt/format.h>

#include <cstring>

#include "tokenizer/utf8.h"

namespace tercet {
namespace {

struct ClassRange {
  uint32_t first;
  uint32_t last;
  char category;
};
struct NewerRange {
  uint32_t first;
  uint32_t last;
  std::string_view category;
};

#include "tokenizer/unicode_ranges.inc"

constexpr ClassRange kSpaces[] = {
    {0x09, 0x0D, 'Z'},     {0x20, 0x20, 'Z'},     {0x85, 0x85, 'Z'},     {0xA0, 0xA0, 'Z'},
    {0x1680, 0x1680, 'Z'}, {0x2000, 0x200A, 'Z'}, {0x2028, 0x2029, 'Z'}, {0x202F, 0x202F, 'Z'},
    {0x205F, 0x205F, 'Z'}, {0x3000, 0x3000, 'Z'}};

uint8_t flag_of(char category) {
  switch (category) {
    case 'L':
      return kCharLetter;
    case 'N':
      return kCharNumber;
    case 'M':
      return kCharMark;
    case 'P':
      return kCharPunctuation;
    case 'S':
      return kCharSymbol;
    default:
      return kCharSpace;
  }
}

// Bytes of ASCII that `text` starts with, by eights.
size_t ascii_prefix(std::string_view text) {
  size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t eight;
    std::memcpy(&eight, text.data() + at, 8);
    if ((eight & 0x8080808080808080u) != 0) break;
  }
  return at;
}

}  // namespace

void append_utf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  if (code < 0x800) {
    out += static_cast<char>(0xC0u | code >> 6);
  } else {
    if (code < 0x10000) {
      out += static_cast<char>(0xE0u | code >> 12);
    } else {
      out += static_cast<char>(0xF0u | code >> 18);
      out += static_cast<char>(0x80u | (code >> 12 & 0x3Fu));
    }
    out += static_cast<char>(0x80u | (code >> 6 & 0x3Fu));
  }
  out += static_cast<char>(0x80u | (code & 0x3Fu));
}

const CharTable& CharTable::instance() {
  static const CharTable table;
  return table;
}

CharTable::CharTable() : pages_(1) {
  for (const ClassRange& range : kClassRanges)
    mark(range.first, range.last, flag_of(range.category));
  for (const ClassRange& range : kSpaces) mark(range.first, range.last, kCharSpace);
}

void CharTable::mark(uint32_t first, uint32_t last, uint8_t flag) {
  for (uint32_t code = first; code <= last; ++code) {
    uint16_t& page = page_of_[code >> 8];
    if (page == 0) {  // shared by all that have no flags
      page = static_cast<uint16_t>(pages_.size());
      pages_.emplace_back();
    }
    pages_[page][code & 0xFFu] |= flag;
  }
}

std::string newer_members(std::string_view category) {
  std::string out;
  for (const NewerRange& range : kNewerRanges) {
    if (!range.category.starts_with(category)) continue;
    out += range.first == range.last
               ? fmt::format("\\x{{{:X}}}", range.first)
               : fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", range.first, range.last);
  }
  return out;
}

std::string_view valid_utf8(std::string_view text, std::string& storage) {
  size_t at = ascii_prefix(text);
  size_t copied = 0;
  bool repaired = false;
  while (at < text.size()) {
    const Utf8Prefix prefix = utf8_prefix(text.substr(at));
    if (prefix.kind != Utf8Prefix::Kind::kCharacter) {
      if (!repaired) storage.clear();
      repaired = true;
      storage += text.substr(copied, at - copied);
      storage += kReplacementCharacter;
      copied = at + prefix.length;
    }
    at += prefix.length;
    if (at < text.size() && static_cast<uint8_t>(text[at]) < 0x80)
      at += ascii_prefix(text.substr(at));
  }
  if (!repaired) return text;
  storage += text.substr(copied);
  return storage;
}

}  // namespace tercet
