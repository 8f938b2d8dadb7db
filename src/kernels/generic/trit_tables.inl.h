// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

// What a trit5 byte (packing/own_codes.cc) holds: for each byte its four low digits as 2-bit
// fields, and for each byte / 4 its last digit. Anonymous namespace: see float_dot.inl.h.
namespace tercet {
namespace {

struct TritTables {
  alignas(64) uint8_t low[256] = {};
  alignas(64) uint8_t last[64] = {};
};

constexpr TritTables make_trit_tables() {
  TritTables tables;
  for (int byte = 0; byte < 256; ++byte) {
    const int last = byte >= 168 ? 2 : byte >= 84 ? 1 : 0;
    int rest = byte - 84 * last;
    int pairs = 0;
    for (int field = 0; field < 4; ++field) {
      pairs |= rest % 3 << (2 * field);
      rest /= 3;
    }
    tables.low[byte] = static_cast<uint8_t>(pairs);
    tables.last[byte / 4] = static_cast<uint8_t>(last);
  }
  return tables;
}

constexpr TritTables kTritTables = make_trit_tables();

}  // namespace
}  // namespace tercet
