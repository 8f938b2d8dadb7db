// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tercet {

// The byte that "<0xAB>" (capital digits) stands for; nothing for any other text.
inline std::optional<uint8_t> parse_byte_piece(std::string_view text) {
  const auto digit = [&](size_t at) {
    const char c = text[at];
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  const int high = digit(3);
  const int low = digit(4);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

}  // namespace tercet
