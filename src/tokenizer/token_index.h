// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace tercet {

// A number that no file can foresee, so that none can choose tokens whose hashes collide.
inline uint64_t unpredictable_seed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

inline uint64_t mix64(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t load_u64(const char* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Token ids by their text. Keeps ids only; the texts stay with the pieces.
class TokenIndex {
 public:
  // `capacity`: how many tokens at most.
  explicit TokenIndex(size_t capacity) : seed_(unpredictable_seed() | 1) {
    slots_.assign(std::bit_ceil(capacity + capacity / 2 + 8), -1);
  }

  // The id of the token with this text, or -1.
  int32_t find(const std::vector<Piece>& pieces, std::string_view text) const {
    for (size_t slot = hash(text);; ++slot) {
      const int32_t id = slots_[slot & (slots_.size() - 1)];
      if (id < 0 || pieces[static_cast<size_t>(id)].text == text) return id;
    }
  }

  // Adds pieces[id]; false when another token has its text.
  bool insert(const std::vector<Piece>& pieces, int32_t id) {
    const std::string_view text = pieces[static_cast<size_t>(id)].text;
    for (size_t slot = hash(text);; ++slot) {
      int32_t& entry = slots_[slot & (slots_.size() - 1)];
      if (entry < 0) {
        entry = id;
        return true;
      }
      if (pieces[static_cast<size_t>(entry)].text == text) return false;
    }
  }

 private:
  size_t hash(std::string_view text) const {
    uint64_t state = seed_ ^ text.size();
    for (; text.size() >= 8; text.remove_prefix(8)) {
      state = mix64(state ^ load_u64(text.data()), 0x9E3779B97F4A7C15u);
    }
    uint64_t tail = 0;
    std::memcpy(&tail, text.data(), text.size());
    return mix64(state ^ tail, seed_ ^ 0xD1B54A32D192ED03u);
  }

  uint64_t seed_;
  std::vector<int32_t> slots_;
};

}  // namespace tercet
