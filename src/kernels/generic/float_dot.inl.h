// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/generic/bits.inl.h"

// Stored rows times one f32 vector. Element i is added to lane i % 32 and the lanes are summed in a
// fixed order, so every ISA gives the same bits whatever the width of its registers. The sums are
// the compiler's vector type (GCC, Clang), Isa::kFloats floats each, so that they stay in
// registers.
//
// Part of each ISA's own object file, hence the anonymous namespace and no functions of other
// headers: code compiled for a newer CPU must not leak into the program through a shared inline
// function.
namespace tercet {
namespace {

constexpr int kLanes = 32;

// core/half.h's conversion without branches. As f32 bits the half is 2^112 too small; the product
// is exact, subnormal halves included, and leaves infinities and NaNs (65536 and above) to get
// their exponent.
inline float widen_f16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const float scaled = float_from_bits(static_cast<uint32_t>(half & 0x7FFF) << 13) * 0x1p112f;
  const uint32_t special = scaled >= 65536.0f ? 0x7F800000u : 0u;
  return float_from_bits(bits_of_float(scaled) | special | sign);
}

// Files may put a row at any address, so stored elements are never accessed by their type.
inline uint16_t load_half(const uint8_t* from) {
  uint16_t half;
  __builtin_memcpy(&half, from, sizeof(half));
  return half;
}

// Each storage type: the bytes of `count` values, and the 32 floats stored at `from`, which may be
// the stored ones themselves.
struct F32Row {
  static constexpr int64_t bytes(int64_t count) { return 4 * count; }
  static const void* widen(const uint8_t* from, float*) { return from; }
};

struct F16Row {
  static constexpr int64_t bytes(int64_t count) { return 2 * count; }
  static const void* widen(const uint8_t* from, float* values) {
    for (int lane = 0; lane < kLanes; ++lane) values[lane] = widen_f16(load_half(from + 2 * lane));
    return values;
  }
};

struct Bf16Row {
  static constexpr int64_t bytes(int64_t count) { return 2 * count; }
  static const void* widen(const uint8_t* from, float* values) {
    for (int lane = 0; lane < kLanes; ++lane) {
      values[lane] = float_from_bits(static_cast<uint32_t>(load_half(from + 2 * lane)) << 16);
    }
    return values;
  }
};

struct Q8Row {  // blocks of an f16 scale and 32 int8
  static constexpr int64_t bytes(int64_t count) { return count / kLanes * 34; }
  static const void* widen(const uint8_t* block, float* values) {
    const float scale = widen_f16(load_half(block));
    for (int lane = 0; lane < kLanes; ++lane) {
      values[lane] = scale * static_cast<float>(static_cast<int8_t>(block[2 + lane]));
    }
    return values;
  }
};

template <class Isa>
struct LaneSums {
  typedef float Vector __attribute__((vector_size(sizeof(float) * Isa::kFloats)));
  static constexpr int kVectors = kLanes / Isa::kFloats;

  Vector sums[kVectors] = {};

  void add(const void* values, const void* x) {
#pragma GCC unroll 8
    for (int part = 0; part < kVectors; ++part) {
      sums[part] += load(values, part) * load(x, part);
    }
  }

  float total() const {
    float lanes[kLanes];
    __builtin_memcpy(lanes, sums, sizeof(lanes));
    for (int width = kLanes / 2; width > 0; width /= 2) {
      for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
    }
    return lanes[0];
  }

 private:
  static Vector load(const void* from, int part) {
    Vector vector;
    __builtin_memcpy(&vector, static_cast<const uint8_t*>(from) + part * sizeof(vector),
                     sizeof(vector));
    return vector;
  }
};

template <class Isa, class Row>
float dot_row(const uint8_t* row, int64_t cols, const float* x) {
  LaneSums<Isa> sums;
  float values[kLanes];
  int64_t i = 0;
  for (; i + kLanes <= cols; i += kLanes) {
    sums.add(Row::widen(row + Row::bytes(i), values), x + i);
  }
  if (i < cols) {  // never for q8_0; zeros add nothing
    uint8_t last[Row::bytes(kLanes)] = {};
    float last_x[kLanes] = {};
    __builtin_memcpy(last, row + Row::bytes(i), static_cast<size_t>(Row::bytes(cols - i)));
    __builtin_memcpy(last_x, x + i, static_cast<size_t>(cols - i) * sizeof(float));
    sums.add(Row::widen(last, values), last_x);
  }
  return sums.total();
}

template <class Isa, class Row>
void float_dot(const void* w, int64_t rows, int64_t cols, const float* x, float* out) {
  const uint8_t* bytes = static_cast<const uint8_t*>(w);
  for (int64_t row = 0; row < rows; ++row) {
    out[row] = dot_row<Isa, Row>(bytes + row * Row::bytes(cols), cols, x);
  }
}

}  // namespace
}  // namespace tercet
