// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/panel.h"

// The vocabulary of panel_dot.inl.h in plain C++, which the others are held against. Four rows.
// Anonymous namespace: see float_dot.inl.h.
namespace tercet {
namespace {

struct PlainLanes {
  static constexpr int kRows = 4;
  static constexpr int kRegisters = 1;
  struct Bytes {
    uint8_t at[4 * kRows];
  };
  struct Sums {
    int32_t at[kRows];
  };
  using Partial = Sums;
  struct Floats {
    float at[kRows];
  };
  static constexpr int kTiles[kPanelTiles] = {1, 2, 3, 4, 8};
  static constexpr bool kInPlace = false;
  static constexpr bool kHasTables = false;
  static constexpr int64_t steps_of(int) { return 0; }

  static Bytes load(const uint8_t* from) {
    Bytes bytes;
    __builtin_memcpy(bytes.at, from, sizeof(bytes.at));
    return bytes;
  }
  static void prefetch(const uint8_t*) {}
  static Bytes broadcast(const int8_t* four) {
    return each([=](int i) { return static_cast<uint8_t>(four[i % 4]); });
  }
  static Bytes fill(int value) {
    return each([=](int) { return static_cast<uint8_t>(value); });
  }
  static Bytes both(Bytes a, Bytes b) {
    return each([&](int i) { return static_cast<uint8_t>(a.at[i] & b.at[i]); });
  }
  template <int kBits>
  static Bytes shift_right(Bytes a) {
    return each([&](int i) { return static_cast<uint8_t>(a.at[i] >> kBits); });
  }

  static Partial no_partial() { return zero(); }
  static Partial dot(Partial sum, Bytes digits, Bytes four) {
    for (int row = 0; row < kRows; ++row) {
      for (int i = 4 * row; i < 4 * row + 4; ++i) {
        sum.at[row] += digits.at[i] * static_cast<int8_t>(four.at[i]);
      }
    }
    return sum;
  }
  static Sums zero() { return {}; }
  static Sums add(Sums a, Sums b) {
    for (int row = 0; row < kRows; ++row) a.at[row] += b.at[row];
    return a;
  }
  static Sums widen(Sums sum, Partial partial) { return add(sum, partial); }

  static Floats product(Sums sum, int32_t gain, int32_t correction) {
    return rows([&](int row) { return static_cast<float>(gain * sum.at[row] - correction); });
  }
  static Floats load_floats(const float* from) {
    return rows([=](int row) { return from[row]; });
  }
  static Floats fill_floats(float value) {
    return rows([=](int) { return value; });
  }
  static Floats times(Floats a, Floats b) {
    return rows([&](int row) { return a.at[row] * b.at[row]; });
  }
  static Floats over(Floats a, Floats b) {
    return rows([&](int row) { return a.at[row] / b.at[row]; });
  }
  static Floats plus_floats(Floats a, Floats b) {
    return rows([&](int row) { return a.at[row] + b.at[row]; });
  }
  static void store(Floats values, float* out) {
    __builtin_memcpy(out, values.at, sizeof(values.at));
  }

 private:
  template <class Value>
  static Bytes each(Value value) {
    Bytes bytes;
    for (int i = 0; i < 4 * kRows; ++i) bytes.at[i] = value(i);
    return bytes;
  }
  template <class Value>
  static Floats rows(Value value) {
    Floats floats;
    for (int row = 0; row < kRows; ++row) floats.at[row] = value(row);
    return floats;
  }
};

}  // namespace
}  // namespace tercet
