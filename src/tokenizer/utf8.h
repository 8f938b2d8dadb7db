// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tercet {

inline constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";           // U+2581
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// What a text starts with.
struct Utf8Prefix {
  enum class Kind { kCharacter, kInvalid, kIncomplete };
  Kind kind = Kind::kInvalid;
  size_t length = 1;  // bytes of the character, or of the part that cannot be one, or of the rest
};

// `text` must not be empty. Overlong forms, surrogates and values past U+10FFFF are invalid
// (Unicode 15, table 3-7); of an invalid sequence the bytes that could have begun a character
// count.
inline Utf8Prefix utf8_prefix(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {Utf8Prefix::Kind::kCharacter, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Utf8Prefix::Kind::kInvalid, 1};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte has a narrower range after four of the leads.
  const uint8_t lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {Utf8Prefix::Kind::kIncomplete, i};
    const bool valid = i == 1 ? byte(i) >= lowest && byte(i) <= highest : (byte(i) & 0xC0u) == 0x80;
    if (!valid) return {Utf8Prefix::Kind::kInvalid, i};
  }
  return {Utf8Prefix::Kind::kCharacter, length};
}

}  // namespace tercet
