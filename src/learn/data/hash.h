// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace tercet {

// FNV-1a, 64 bits (Fowler, Noll, Vo): finds accidents in files, not attacks.
class Fnv1a64 {
 public:
  Fnv1a64() = default;
  explicit Fnv1a64(uint64_t value) : hash_(value) {}  // goes on after bytes of that value
  void update(std::span<const uint8_t> bytes) {
    uint64_t hash = hash_;
    for (const uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001B3u;
    hash_ = hash;
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xCBF29CE484222325u;
};

// SplitMix64's output function: a bijection of 64-bit numbers that scatters them.
inline uint64_t mix64(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace tercet
