// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/generic/bits.inl.h"

// Stored rows times one f32 vector. Element i is added to lane i % 32 and the lanes are summed in a
// fixed order, so every ISA gives the same bits whatever the width of its registers. The sums are
// the compiler's vector type (GCC, Clang), Isa::kFloats floats each, so that they stay in
// registers. Anonymous namespace: see ternary_dot.inl.h.
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

// Each storage type: Stored, how many of them make a row, and 32 values from element i on, which
// may be the stored ones themselves.
struct F32Row {
  using Stored = float;
  static int64_t stride(int64_t cols) { return cols; }
  static const float* widen(const float* row, int64_t i, float*) { return row + i; }
};

struct F16Row {
  using Stored = uint16_t;
  static int64_t stride(int64_t cols) { return cols; }
  static const float* widen(const uint16_t* row, int64_t i, float* values) {
    for (int lane = 0; lane < kLanes; ++lane) values[lane] = widen_f16(row[i + lane]);
    return values;
  }
};

struct Bf16Row {
  using Stored = uint16_t;
  static int64_t stride(int64_t cols) { return cols; }
  static const float* widen(const uint16_t* row, int64_t i, float* values) {
    for (int lane = 0; lane < kLanes; ++lane) {
      values[lane] = float_from_bits(static_cast<uint32_t>(row[i + lane]) << 16);
    }
    return values;
  }
};

struct Q8Row {  // blocks of an f16 scale and 32 int8
  using Stored = uint8_t;
  static constexpr int kBlockBytes = 34;
  static int64_t stride(int64_t cols) { return cols / kLanes * kBlockBytes; }
  static const float* widen(const uint8_t* row, int64_t i, float* values) {
    const uint8_t* block = row + i / kLanes * kBlockBytes;
    const float scale = widen_f16(static_cast<uint16_t>(block[0] | block[1] << 8));
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

  void add(const float* values, const float* x) {
#pragma GCC unroll 8
    for (int part = 0; part < kVectors; ++part) {
      sums[part] += load(values + part * Isa::kFloats) * load(x + part * Isa::kFloats);
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
  static Vector load(const float* from) {
    Vector vector;
    __builtin_memcpy(&vector, from, sizeof(vector));
    return vector;
  }
};

template <class Isa, class Row>
float dot_row(const typename Row::Stored* row, int64_t cols, const float* x) {
  LaneSums<Isa> sums;
  float values[kLanes];
  int64_t i = 0;
  for (; i + kLanes <= cols; i += kLanes) sums.add(Row::widen(row, i, values), x + i);
  if (i < cols) {  // never for q8_0; zeros add nothing
    typename Row::Stored last[kLanes] = {};
    float last_x[kLanes] = {};
    for (int lane = 0; lane < cols - i; ++lane) {
      last[lane] = row[i + lane];
      last_x[lane] = x[i + lane];
    }
    sums.add(Row::widen(last, 0, values), last_x);
  }
  return sums.total();
}

template <class Isa, class Row>
void float_dot(const typename Row::Stored* w, int64_t rows, int64_t cols, const float* x,
               float* out) {
  for (int64_t row = 0; row < rows; ++row) {
    out[row] = dot_row<Isa, Row>(w + row * Row::stride(cols), cols, x);
  }
}

}  // namespace
}  // namespace tercet
