// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tercet {

// What a code point is, as the regular expressions of pre-tokenizers see it.
enum CharFlag : uint8_t {
  kCharLetter = 1,       // \p{L}
  kCharNumber = 2,       // \p{N}
  kCharMark = 4,         // \p{M}
  kCharPunctuation = 8,  // \p{P}
  kCharSymbol = 16,      // \p{S}
  kCharSpace = 32,       // White_Space
};

// A code point of valid UTF-8 and how many bytes it takes.
struct CodePoint {
  uint32_t code = 0;
  uint32_t length = 1;
};

// Of the character at `at`, which must begin a valid one.
inline CodePoint code_point_at(const char* at) {
  const auto byte = [&](int i) { return static_cast<uint32_t>(static_cast<uint8_t>(at[i])); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1Fu) << 6 | (byte(1) & 0x3Fu), 2};
  if (lead < 0xF0) {
    return {(lead & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu), 3};
  }
  return {
      (lead & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu),
      4};
}

void append_utf8(uint32_t code, std::string& out);

// The flags of all code points, in pages.
class CharTable {
 public:
  static const CharTable& instance();  // immutable, made at the first use

  uint8_t flags(uint32_t code) const { return pages_[page_of_[code >> 8]][code & 0xFFu]; }

 private:
  CharTable();
  void mark(uint32_t first, uint32_t last, uint8_t flag);

  std::array<uint16_t, 0x1100> page_of_{};
  std::vector<std::array<uint8_t, 256>> pages_;
};

// The code points that belong to a general category ("L", "Nd", ...) and that Debian's PCRE2, which
// knows Unicode 14, does not put there; as the inside of a character class, e.g. "\x{1C89}".
std::string newer_members(std::string_view category);

// `text` itself when it is valid UTF-8. Otherwise a copy in `storage` in which every invalid part
// is U+FFFD, as Python decodes with errors="replace".
std::string_view valid_utf8(std::string_view text, std::string& storage);

}  // namespace tercet
