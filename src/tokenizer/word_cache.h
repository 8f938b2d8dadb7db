// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/token_index.h"

namespace tercet {

// The ids of words encoded before. Of fixed size: a word displaces another in its place. Long words
// and words of many tokens are not kept.
class WordCache {
 public:
  static constexpr size_t kMaxBytes = 24;
  static constexpr size_t kMaxIds = 9;

  WordCache() : slots_(kSlots) {}

  struct Key {
    std::array<uint64_t, 3> bytes{};
    uint32_t length = 0;
    size_t slot = 0;
  };
  // Of a word of 1 to kMaxBytes bytes: its bytes, some twice, so that no byte past it is read.
  static Key key_of(std::string_view word) {
    Key key;
    const char* const at = word.data();
    const size_t n = word.size();
    key.length = static_cast<uint32_t>(n);
    if (n >= 8) {
      key.bytes = {load_u64(at), load_u64(at + n - 8), n > 16 ? load_u64(at + 8) : 0};
    } else if (n >= 4) {
      key.bytes[0] = load_u32(at) | load_u32(at + n - 4) << 32;
    } else {
      const auto byte = [&](size_t i) { return uint64_t{static_cast<uint8_t>(at[i])}; };
      key.bytes[0] = byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16;
    }
    const uint64_t hash =
        mix64(key.bytes[0] ^ 0x9E3779B97F4A7C15u ^ n, key.bytes[1] ^ 0xD1B54A32D192ED03u) ^
        key.bytes[2] * 0x8CB92BA72F3D8DD7u;
    key.slot = (hash ^ hash >> 29) & (kSlots - 1);
    return key;
  }

  // The ids kept for the key; empty when there are none.
  std::span<const int32_t> find(const Key& key) const {
    const Slot& slot = slots_[key.slot];
    if (slot.length != key.length || slot.bytes != key.bytes) return {};
    return {slot.ids.data(), slot.count};
  }

  void store(const Key& key, std::span<const int32_t> ids) {
    if (ids.empty() || ids.size() > kMaxIds) return;
    Slot& slot = slots_[key.slot];
    slot.bytes = key.bytes;
    slot.length = static_cast<uint16_t>(key.length);
    slot.count = static_cast<uint16_t>(ids.size());
    std::copy(ids.begin(), ids.end(), slot.ids.begin());
  }

 private:
  static constexpr size_t kSlots = size_t{1} << 14;
  struct Slot {
    std::array<uint64_t, 3> bytes{};
    uint16_t length = 0;
    uint16_t count = 0;
    std::array<int32_t, kMaxIds> ids{};
  };
  static_assert(sizeof(Slot) == 64);

  static uint64_t load_u32(const char* at) {
    uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }

  std::vector<Slot> slots_;
};

}  // namespace tercet
