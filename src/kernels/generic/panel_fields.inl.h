// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/panel.h"

// How the bytes of a unit become digits, for each panel format. `Isa::Bytes` is a register with 4
// bytes of each row. Anonymous namespace: see float_dot.inl.h.
//
// open() does what all digits of a byte have in common, digit<i>() gives those of field i. They can
// also be taken where they lie in their byte: products then come out
// 2^kShift<i> times too large, which is undone once per row and saves a shift of every byte.
namespace tercet {
namespace {

template <int kValue>
struct Index {
  static constexpr int value = kValue;
};

// body(Index<0>{}) ... body(Index<kCount - 1>{})
template <int kCount, int kFirst = 0, class Body>
[[gnu::always_inline]] inline void unroll(const Body& body) {
  if constexpr (kFirst < kCount) {
    body(Index<kFirst>{});
    unroll<kCount, kFirst + 1>(body);
  }
}

template <class Isa, int kBits>
struct PackedBits {
  using Bytes = typename Isa::Bytes;
  using Opened = Bytes;
  static constexpr int kFields = 8 / kBits;
  static constexpr int kLargestDigit = (1 << kBits) - 1;
  template <int kField>
  static constexpr int kShift = kField* kBits;

  static Opened open(Bytes bytes) { return bytes; }

  template <int kField>
  static Bytes digit(Bytes bytes) {
    return Isa::both(Isa::template shift_right<kShift<kField>>(bytes), Isa::fill(kLargestDigit));
  }

  template <int kField>
  static Bytes digit_in_place(Bytes bytes) {
    return Isa::both(bytes, Isa::fill(kLargestDigit << kShift<kField>));
  }
};

// Five codes a byte, for instruction sets that permute bytes (Isa::kHasTables): a table of 256
// entries turns a byte into its four low digits as 2-bit fields, and byte / 4 alone tells the last.
template <class Isa>
struct FiveTrits {
  using Bytes = typename Isa::Bytes;
  using Pairs = PackedBits<Isa, 2>;
  struct Opened {
    Bytes pairs;
    Bytes last;
  };
  static constexpr int kFields = 5;
  static constexpr int kLargestDigit = 3;
  template <int kField>
  static constexpr int kShift = kField < 4 ? 2 * kField : 0;

  static Opened open(Bytes bytes) { return {Isa::low_trits(bytes), Isa::last_trit(bytes)}; }

  template <int kField>
  static Bytes digit(const Opened& opened) {
    if constexpr (kField == 4) return opened.last;
    return Pairs::template digit<kField % 4>(opened.pairs);
  }

  template <int kField>
  static Bytes digit_in_place(const Opened& opened) {
    if constexpr (kField == 4) return opened.last;
    return Pairs::template digit_in_place<kField % 4>(opened.pairs);
  }
};

template <class Isa, PanelFormat kFormat>
struct FieldsOf;
template <class Isa>
struct FieldsOf<Isa, PanelFormat::kBit1> : PackedBits<Isa, 1> {};
template <class Isa>
struct FieldsOf<Isa, PanelFormat::kBit2> : PackedBits<Isa, 2> {};
template <class Isa>
struct FieldsOf<Isa, PanelFormat::kBit4> : PackedBits<Isa, 4> {};
template <class Isa>
struct FieldsOf<Isa, PanelFormat::kTrit5> : FiveTrits<Isa> {};

}  // namespace
}  // namespace tercet
