// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tercet {

// The printable characters that GPT-2's byte-level vocabularies write bytes with: printable Latin-1
// ones stand for themselves, the rest for U+0100 and up in order of the bytes.
uint32_t byte_level_char(uint8_t byte);

// `bytes` written so.
void append_byte_level(std::string_view bytes, std::string& out);

// The bytes that valid UTF-8 of such characters stands for; nothing when it has any other
// character.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace tercet
