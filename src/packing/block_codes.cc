// SPDX-License-Identifier: Apache-2.0
//
// tq1_0 and tq2_0 as llama.cpp's ggml-quants.c reads and writes them, pinned by
// tests/golden/tq_blocks.json; the others pinned by tests/golden/quant_blocks.json.
#include "packing/block_codes.h"

#include <array>
#include <cstddef>

namespace tercet::packing {
namespace {

// A place in a block that packs `places` codes into each of `width` neighbouring bytes: the code
// at position n of byte m is element first + n * width + m. So a vector load of the bytes gives
// neighbouring elements.
struct Section {
  int byte;
  int width;
  int first;
  int places;
};

constexpr std::array<Section, 2> kTq2Sections = {{{0, 32, 0, 4}, {32, 32, 128, 4}}};
constexpr std::array<Section, 3> kTq1Sections = {
    {{0, 32, 0, 5}, {32, 16, 160, 5}, {48, 4, 240, 4}}};
constexpr int kTq2CodeBytes = 64;
constexpr int kTq1FullBytes = 48;  // those of five codes

using Digits = std::array<int, 5>;

// Trits are the digits of a base-3 fraction of 256, most significant first: multiplying the byte by
// 3 moves the next digit into bits 8 and 9. A byte is the smallest one whose digits come out right.
constexpr uint8_t pack_fraction(const Digits& digits, int places) {
  int value = 0;
  for (int n = 0; n < 5; ++n) value = 3 * value + (n < places ? digits[static_cast<size_t>(n)] : 0);
  return static_cast<uint8_t>((value * 256 + 242) / 243);
}

// One entry per byte value.
struct FractionTable {
  std::array<std::array<int8_t, 5>, 256> codes = {};
  std::array<bool, 256> holds_five = {};
  std::array<bool, 256> holds_four = {};
};

constexpr FractionTable make_fractions() {
  FractionTable table;
  for (size_t byte = 0; byte < 256; ++byte) {
    Digits digits = {};
    int fraction = static_cast<int>(byte);
    for (size_t n = 0; n < digits.size(); ++n) {
      fraction *= 3;
      digits[n] = fraction >> 8;
      fraction &= 255;
      table.codes[byte][n] = static_cast<int8_t>(digits[n] - 1);
    }
    table.holds_five[byte] = pack_fraction(digits, 5) == byte;
    table.holds_four[byte] = pack_fraction(digits, 4) == byte;
  }
  return table;
}

constexpr FractionTable kFractions = make_fractions();

// A byte is the ceiling of 256 v / 243 for some v exactly when 243 byte leaves less than 243 of
// 256. Said so, the compiler can test many bytes at once.
constexpr bool holds_five(unsigned byte) { return ((byte * 243u) & 255u) < 243u; }

constexpr bool rule_equals_table() {
  for (size_t byte = 0; byte < 256; ++byte) {
    if (holds_five(static_cast<unsigned>(byte)) != kFractions.holds_five[byte]) return false;
  }
  return true;
}
static_assert(rule_equals_table());

Digits digits_at(const Section& section, int m, const int8_t* codes) {
  Digits digits = {};
  for (int n = 0; n < section.places; ++n) {
    digits[static_cast<size_t>(n)] = codes[section.first + n * section.width + m] + 1;
  }
  return digits;
}

}  // namespace

void pack_tq1_0(const int8_t* codes, uint8_t* block) {
  for (const Section& section : kTq1Sections) {
    for (int m = 0; m < section.width; ++m) {
      block[section.byte + m] = pack_fraction(digits_at(section, m, codes), section.places);
    }
  }
}

void pack_tq2_0(const int8_t* codes, uint8_t* block) {
  for (const Section& section : kTq2Sections) {
    for (int m = 0; m < section.width; ++m) {
      const Digits digits = digits_at(section, m, codes);
      block[section.byte + m] =
          static_cast<uint8_t>(digits[0] | digits[1] << 2 | digits[2] << 4 | digits[3] << 6);
    }
  }
}

bool unpack_tq1_0(const uint8_t* block, int8_t* codes) {
  for (const Section& section : kTq1Sections) {
    for (int m = 0; m < section.width; ++m) {
      const auto& places = kFractions.codes[block[section.byte + m]];
      for (int n = 0; n < section.places; ++n) {
        codes[section.first + n * section.width + m] = places[static_cast<size_t>(n)];
      }
    }
  }
  return tq1_0_is_valid(block);
}

bool unpack_tq2_0(const uint8_t* block, int8_t* codes) {
  for (const Section& section : kTq2Sections) {
    for (int n = 0; n < section.places; ++n) {
      for (int m = 0; m < section.width; ++m) {
        *codes++ = static_cast<int8_t>(((block[section.byte + m] >> (2 * n)) & 3) - 1);
      }
    }
  }
  return tq2_0_is_valid(block);
}

bool tq1_0_is_valid(const uint8_t* block) {
  unsigned invalid = 0;
  for (int i = 0; i < kTq1FullBytes; ++i) invalid |= holds_five(block[i]) ? 0u : 1u;
  for (int i = 0; i < 4; ++i) {
    invalid |= kFractions.holds_four[block[kTq1FullBytes + i]] ? 0u : 1u;
  }
  return invalid == 0;
}

bool tq2_0_is_valid(const uint8_t* block) {
  uint8_t threes = 0;  // narrow, so that the compiler tests many bytes at once
  for (int i = 0; i < kTq2CodeBytes; ++i) {
    threes = static_cast<uint8_t>(threes | (block[i] & (block[i] >> 1)));
  }
  return (threes & 0x55) == 0;
}

void pack_i2_s(const int8_t* codes, int width, uint8_t* block) {
  for (int m = 0; m < width; ++m) {
    int byte = 0;
    for (int n = 0; n < 4; ++n) byte = byte << 2 | (codes[n * width + m] + 1);
    block[m] = static_cast<uint8_t>(byte);
  }
}

bool unpack_i2_s(const uint8_t* block, int width, int8_t* codes) {
  unsigned threes = 0;
  for (int m = 0; m < width; ++m) threes |= block[m] & (block[m] >> 1) & 0x55u;
  for (int n = 0; n < 4; ++n) {
    for (int m = 0; m < width; ++m) {
      *codes++ = static_cast<int8_t>(((block[m] >> (6 - 2 * n)) & 3) - 1);
    }
  }
  return threes == 0;
}

void pack_pairs(const int8_t* codes, int count, uint8_t* bytes) {
  for (int i = 0; i < count; i += 4, codes += 4) {
    bytes[i / 4] = static_cast<uint8_t>((codes[0] + 1) | (codes[1] + 1) << 2 | (codes[2] + 1) << 4 |
                                        (codes[3] + 1) << 6);
  }
}

bool unpack_pairs(const uint8_t* bytes, int count, int8_t* codes) {
  unsigned threes = 0;
  for (int i = 0; i < count / 4; ++i) {
    threes |= bytes[i] & (bytes[i] >> 1) & 0x55u;
    for (int n = 0; n < 4; ++n) *codes++ = static_cast<int8_t>(((bytes[i] >> (2 * n)) & 3) - 1);
  }
  return threes == 0;
}

bool pack_signs(const int8_t* codes, int count, uint8_t* bytes) {
  bool has_zero = false;
  for (int i = 0; i < count; i += 8) {
    int byte = 0;
    for (int n = 0; n < 8; ++n) {
      has_zero |= codes[i + n] == 0;
      byte |= (codes[i + n] > 0 ? 1 : 0) << n;
    }
    bytes[i / 8] = static_cast<uint8_t>(byte);
  }
  return !has_zero;
}

void unpack_signs(const uint8_t* bytes, int count, int8_t* codes) {
  for (int i = 0; i < count; ++i) {
    codes[i] = ((bytes[i / 8] >> (i % 8)) & 1) != 0 ? int8_t{1} : int8_t{-1};
  }
}

}  // namespace tercet::packing
