// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

// std::bit_cast for kernels, whose objects may not hold functions of the standard library's headers
// (see float_dot.inl.h).
namespace tercet {
namespace {

inline float float_from_bits(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits;
}

}  // namespace
}  // namespace tercet
