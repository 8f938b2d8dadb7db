// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/byte_level.h"

#include <array>

#include "tokenizer/unicode.h"

namespace tercet {
namespace {

constexpr uint32_t kFirstStandIn = 0x100;
constexpr size_t kCharacters = kFirstStandIn + 68;  // 68 bytes are not printable

constexpr bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Maps {
  std::array<uint16_t, 256> to_char{};
  std::array<int16_t, kCharacters> to_byte{};
};

constexpr Maps make_maps() {
  Maps maps;
  for (int16_t& byte : maps.to_byte) byte = -1;
  uint32_t next = kFirstStandIn;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const uint32_t code = stands_for_itself(byte) ? byte : next++;
    maps.to_char[byte] = static_cast<uint16_t>(code);
    maps.to_byte[code] = static_cast<int16_t>(byte);
  }
  return maps;
}

constexpr Maps kMaps = make_maps();

}  // namespace

uint32_t byte_level_char(uint8_t byte) { return kMaps.to_char[byte]; }

void append_byte_level(std::string_view bytes, std::string& out) {
  for (const char c : bytes) append_utf8(byte_level_char(static_cast<uint8_t>(c)), out);
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text.data() + at);
    if (point.code >= kMaps.to_byte.size() || kMaps.to_byte[point.code] < 0) return std::nullopt;
    bytes += static_cast<char>(kMaps.to_byte[point.code]);
    at += point.length;
  }
  return bytes;
}

}  // namespace tercet
