// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

// Ternary rows times one int8 vector, for every layout of packing/ternary.h. Part of each ISA's own
// object file, hence the anonymous namespace and no functions of other headers: code compiled for a
// newer CPU must not leak into the program through a shared inline function.
//
// A tile of columns is brought into plain order once for all rows: activations are spread to where
// the layout's decoder puts their codes, so that each row is decode, then one straight dot product
// of digits (code + 1, as 0..2) with activations. The sum of the activations is taken off at the
// end. All loops are plain enough for the compiler to vectorize.
namespace tercet {
namespace {

constexpr int kTileCodes = 2560;

// Four codes a byte, two bits each, the first lowest.
struct Trit4 {
  static constexpr int kUnitCodes = 4;  // smallest run of codes that starts on a byte
  static constexpr int kUnitBytes = 1;

  static constexpr int place(int unit, int code, int units) { return code * units + unit; }

  static void decode(const uint8_t* __restrict bytes, int units, uint8_t* __restrict digits) {
    for (int place = 0; place < 4; ++place) {
      uint8_t* __restrict plane = digits + place * units;
      for (int i = 0; i < units; ++i) plane[i] = (bytes[i] >> (2 * place)) & 3;
    }
  }
};

// The digit of `rest` that is worth `weight`, which is taken off it. rest < 3 * weight.
inline uint8_t take_digit(uint8_t& rest, uint8_t weight) {
  const bool one = rest >= weight;
  const bool two = rest >= 2 * weight;
  rest = static_cast<uint8_t>(rest - (one ? weight : 0) - (two ? weight : 0));
  return static_cast<uint8_t>(one + two);
}

// Five codes a byte, worth 1, 3, 9, 27 and 84.
struct Trit5 {
  static constexpr int kUnitCodes = 5;
  static constexpr int kUnitBytes = 1;

  static constexpr int place(int unit, int code, int units) { return code * units + unit; }

  static void decode(const uint8_t* __restrict bytes, int units, uint8_t* __restrict digits) {
    for (int i = 0; i < units; ++i) {
      uint8_t rest = bytes[i];
      digits[4 * units + i] = take_digit(rest, 84);
      digits[3 * units + i] = take_digit(rest, 27);
      digits[2 * units + i] = take_digit(rest, 9);
      digits[1 * units + i] = take_digit(rest, 3);
      digits[i] = rest;
    }
  }
};

// llama.cpp blocks decode into the natural order of their elements.
struct Tq2 {
  static constexpr int kUnitCodes = 256;
  static constexpr int kUnitBytes = 66;

  static constexpr int place(int unit, int code, int) { return unit * kUnitCodes + code; }

  static void decode(const uint8_t* __restrict blocks, int units, uint8_t* __restrict digits) {
    for (int half = 0; half < 2 * units; ++half) {
      const uint8_t* bytes = blocks + half / 2 * kUnitBytes + half % 2 * 32;
      for (int i = 0; i < 32; ++i) digits[i] = bytes[i] & 3;
      for (int i = 0; i < 32; ++i) digits[32 + i] = (bytes[i] >> 2) & 3;
      for (int i = 0; i < 32; ++i) digits[64 + i] = (bytes[i] >> 4) & 3;
      for (int i = 0; i < 32; ++i) digits[96 + i] = bytes[i] >> 6;
      digits += 128;
    }
  }
};

struct Tq1 {
  static constexpr int kUnitCodes = 256;
  static constexpr int kUnitBytes = 54;

  static constexpr int place(int unit, int code, int) { return unit * kUnitCodes + code; }

  // A byte is a base-3 fraction of 256: times 3, what passes 256 is the next digit.
  template <int kWidth, int kPlaces>
  static void decode_section(const uint8_t* __restrict bytes, uint8_t* __restrict digits) {
    for (int i = 0; i < kWidth; ++i) {
      uint8_t fraction = bytes[i];
      for (int place = 0; place < kPlaces; ++place) {
        digits[place * kWidth + i] = static_cast<uint8_t>((fraction >= 86) + (fraction >= 171));
        fraction = static_cast<uint8_t>(fraction + fraction + fraction);
      }
    }
  }

  static void decode(const uint8_t* __restrict blocks, int units, uint8_t* __restrict digits) {
    for (int unit = 0; unit < units; ++unit) {
      decode_section<32, 5>(blocks, digits);
      decode_section<16, 5>(blocks + 32, digits + 160);
      decode_section<4, 4>(blocks + 48, digits + 240);
      blocks += kUnitBytes;
      digits += kUnitCodes;
    }
  }
};

// bitnet.cpp's blocks: as a half of tq2_0, but the first codes in the highest bits.
template <int kWidth>
struct I2S {
  static constexpr int kUnitCodes = 4 * kWidth;
  static constexpr int kUnitBytes = kWidth;

  static constexpr int place(int unit, int code, int) { return unit * kUnitCodes + code; }

  static void decode(const uint8_t* __restrict bytes, int units, uint8_t* __restrict digits) {
    for (int unit = 0; unit < units; ++unit) {
      for (int i = 0; i < kWidth; ++i) digits[i] = bytes[i] >> 6;
      for (int i = 0; i < kWidth; ++i) digits[kWidth + i] = (bytes[i] >> 4) & 3;
      for (int i = 0; i < kWidth; ++i) digits[2 * kWidth + i] = (bytes[i] >> 2) & 3;
      for (int i = 0; i < kWidth; ++i) digits[3 * kWidth + i] = bytes[i] & 3;
      bytes += kWidth;
      digits += kUnitCodes;
    }
  }
};

// Puts `count` activations to the places of their codes, zeros to the places that no column has.
// Returns their sum. Tile is int16_t or int8_t, whichever the ISA multiplies faster.
template <class Layout, class Tile>
int32_t spread(const int8_t* __restrict q, int count, int units, Tile* __restrict tile) {
  int32_t sum = 0;
  for (int i = 0; i < count; ++i) {
    tile[Layout::place(i / Layout::kUnitCodes, i % Layout::kUnitCodes, units)] = q[i];
    sum += q[i];
  }
  for (int i = count; i < units * Layout::kUnitCodes; ++i) {
    tile[Layout::place(i / Layout::kUnitCodes, i % Layout::kUnitCodes, units)] = 0;
  }
  return sum;
}

template <class Tile>
int32_t dot_digits(const uint8_t* __restrict digits, const Tile* __restrict tile, int count) {
  int32_t sum = 0;
  for (int i = 0; i < count; ++i) {
    const Tile digit = static_cast<Tile>(digits[i]);
    sum += digit * tile[i];
  }
  return sum;
}

template <class Isa, class Layout>
void ternary_dot(const uint8_t* codes, int64_t row_stride, int64_t rows, int64_t cols,
                 const int8_t* q, int32_t* out) {
  constexpr int64_t kStep = kTileCodes / Layout::kUnitCodes * Layout::kUnitCodes;
  alignas(64) typename Isa::Tile tile[kStep];
  alignas(64) uint8_t digits[kStep];
  for (int64_t row = 0; row < rows; ++row) out[row] = 0;
  for (int64_t first = 0; first < cols; first += kStep) {
    const int count = static_cast<int>(cols - first < kStep ? cols - first : kStep);
    const int units = (count + Layout::kUnitCodes - 1) / Layout::kUnitCodes;
    const int32_t sum = spread<Layout>(q + first, count, units, tile);
    const uint8_t* bytes = codes + first / Layout::kUnitCodes * Layout::kUnitBytes;
    for (int64_t row = 0; row < rows; ++row) {
      Layout::decode(bytes + row * row_stride, units, digits);
      out[row] += dot_digits(digits, tile, units * Layout::kUnitCodes) - sum;
    }
  }
}

template <class Isa>
void tq1_0_dot(const uint8_t* blocks, int64_t rows, int64_t cols, const int8_t* q, int32_t* out) {
  ternary_dot<Isa, Tq1>(blocks, cols / Tq1::kUnitCodes * Tq1::kUnitBytes, rows, cols, q, out);
}

template <class Isa>
void tq2_0_dot(const uint8_t* blocks, int64_t rows, int64_t cols, const int8_t* q, int32_t* out) {
  ternary_dot<Isa, Tq2>(blocks, cols / Tq2::kUnitCodes * Tq2::kUnitBytes, rows, cols, q, out);
}

template <class Isa>
void i2_s_dot(const uint8_t* codes, int64_t rows, int64_t cols, const int8_t* q, int32_t* out) {
  ternary_dot<Isa, I2S<32>>(codes, cols / 4, rows, cols, q, out);
}

template <class Isa>
void i2_s64_dot(const uint8_t* codes, int64_t rows, int64_t cols, const int8_t* q, int32_t* out) {
  ternary_dot<Isa, I2S<16>>(codes, cols / 4, rows, cols, q, out);
}

}  // namespace
}  // namespace tercet
