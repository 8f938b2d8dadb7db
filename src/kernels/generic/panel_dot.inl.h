// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/generic/panel_fields.inl.h"
#include "kernels/panel.h"

// Panels times a tile of tokens: one algorithm over the vocabulary of an instruction set.
//
//   Bytes      a register of 4 bytes for each of kRows rows; kRegisters of them make a panel's unit
//   Sums       int32 for each row
//   Partial    what dot() adds to; good for steps_of(largest digit) of them, then widen() is due
//   Floats     f32 for each row
//   kInPlace   whether Partial takes digits in place (only with int32 sums)
//
// Anonymous namespace: see float_dot.inl.h.
namespace tercet {
namespace {

template <class Isa, int kTokens>
struct TileSums {
  typename Isa::Sums rows[Isa::kRegisters][kTokens];
};

template <class Isa, int kTokens>
inline TileSums<Isa, kTokens> zero_sums() {
  TileSums<Isa, kTokens> sums;
  for (auto& of_register : sums.rows) {
    for (auto& sum : of_register) sum = Isa::zero();
  }
  return sums;
}

// Adds units [begin, end) of a group, whose panel bytes and activations start at `bytes` and `q`.
template <class Isa, class Fields, int kTokens>
inline void add_units(const uint8_t* bytes, const int8_t* q, int64_t begin, int64_t end,
                      TileSums<Isa, kTokens>& sums) {
  constexpr int kRegisters = Isa::kRegisters;
  constexpr int kUnitBytes = kRegisters * 4 * Isa::kRows;
  typename Isa::Partial partial[kRegisters][kTokens];
  for (auto& of_register : partial) {
    for (auto& sum : of_register) sum = Isa::no_partial();
  }
  for (int64_t unit = begin; unit < end; ++unit) {
    const uint8_t* from = bytes + unit * kUnitBytes;
    const int8_t* x = q + unit * (Fields::kFields * kTokens * 4);
    typename Fields::Opened opened[kRegisters];
#pragma GCC unroll 8
    for (int r = 0; r < kRegisters; ++r) {
      // More tokens multiply longer than the memory takes.
      if (kTokens <= 8) Isa::prefetch(from + r * 4 * Isa::kRows);
      opened[r] = Fields::open(Isa::load(from + r * 4 * Isa::kRows));
    }
    unroll<Fields::kFields>([&](auto field) __attribute__((always_inline)) {
      constexpr int kField = decltype(field)::value;
      typename Isa::Bytes digits[kRegisters];
#pragma GCC unroll 8
      for (int r = 0; r < kRegisters; ++r) {
        digits[r] = Fields::template digit<kField>(opened[r]);
      }
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        const typename Isa::Bytes four = Isa::broadcast(x + (kField * kTokens + t) * 4);
#pragma GCC unroll 8
        for (int r = 0; r < kRegisters; ++r) {
          partial[r][t] = Isa::dot(partial[r][t], digits[r], four);
        }
      }
    });
  }
  for (int r = 0; r < kRegisters; ++r) {
    for (int t = 0; t < kTokens; ++t) {
      sums.rows[r][t] = Isa::widen(sums.rows[r][t], partial[r][t]);
    }
  }
}

// All units of a group.
template <class Isa, class Fields, int kTokens>
inline TileSums<Isa, kTokens> group_sums(const uint8_t* bytes, const int8_t* q, int64_t units) {
  TileSums<Isa, kTokens> sums = zero_sums<Isa, kTokens>();
  constexpr int64_t kSteps = Isa::steps_of(Fields::kLargestDigit);
  if constexpr (kSteps == 0) {
    add_units<Isa, Fields, kTokens>(bytes, q, 0, units, sums);
  } else {
    constexpr int64_t kUnits = kSteps / Fields::kFields;
    static_assert(kUnits > 0);
    for (int64_t begin = 0; begin < units; begin += kUnits) {
      const int64_t end = begin + kUnits < units ? begin + kUnits : units;
      add_units<Isa, Fields, kTokens>(bytes, q, begin, end, sums);
    }
  }
  return sums;
}

// The same for one token with digits in place, so with sums of its own for each field.
template <class Isa, class Fields>
inline TileSums<Isa, 1> group_sums_in_place(const uint8_t* bytes, const int8_t* q, int64_t units) {
  constexpr int kRegisters = Isa::kRegisters;
  constexpr int kUnitBytes = kRegisters * 4 * Isa::kRows;
  typename Isa::Sums fields[kRegisters][Fields::kFields];
  for (auto& of_register : fields) {
    for (auto& sum : of_register) sum = Isa::zero();
  }
  for (int64_t unit = 0; unit < units; ++unit) {
    const int8_t* x = q + unit * (Fields::kFields * 4);
#pragma GCC unroll 8
    for (int r = 0; r < kRegisters; ++r) {
      const uint8_t* from = bytes + unit * kUnitBytes + r * 4 * Isa::kRows;
      Isa::prefetch(from);
      const typename Fields::Opened opened = Fields::open(Isa::load(from));
      unroll<Fields::kFields>([&](auto field) __attribute__((always_inline)) {
        constexpr int kField = decltype(field)::value;
        fields[r][kField] =
            Isa::dot(fields[r][kField], Fields::template digit_in_place<kField>(opened),
                     Isa::broadcast(x + kField * 4));
      });
    }
  }
  TileSums<Isa, 1> sums = zero_sums<Isa, 1>();
  for (int r = 0; r < kRegisters; ++r) {
    unroll<Fields::kFields>([&](auto field) __attribute__((always_inline)) {
      constexpr int kField = decltype(field)::value;
      sums.rows[r][0] = Isa::add(
          sums.rows[r][0],
          Isa::template shift_sums_right<Fields::template kShift<kField>>(fields[r][kField]));
    });
  }
  return sums;
}

template <class Isa, class Fields, int kTokens>
inline TileSums<Isa, kTokens> sums_of(const uint8_t* bytes, const int8_t* q, int64_t units) {
  if constexpr (kTokens == 1 && Isa::kInPlace) {
    return group_sums_in_place<Isa, Fields>(bytes, q, units);
  } else {
    return group_sums<Isa, Fields, kTokens>(bytes, q, units);
  }
}

// Rows of one token, as many of a register's as there are.
template <class Isa>
inline void store_rows(typename Isa::Floats values, int64_t rows, float* out) {
  if (rows >= Isa::kRows) return Isa::store(values, out);
  float all[Isa::kRows];
  Isa::store(values, all);
  for (int64_t i = 0; i < rows; ++i) out[i] = all[i];
}

template <class Isa, class Fields, int kTokens>
void panel_products(const PanelCall& call, int64_t panel, const uint8_t* bytes) {
  using Floats = typename Isa::Floats;
  constexpr int kRegisters = Isa::kRegisters;
  constexpr int64_t kPanelRows = kRegisters * Isa::kRows;
  constexpr int64_t kUnitBytes = 4 * kPanelRows;
  const bool grouped = call.scope == packing::ScaleScope::kGroup;
  const bool by_row = call.scope == packing::ScaleScope::kRow;
  const bool own_scales = call.tile.scale_per_group;
  const int8_t* q = call.tile.q;
  Floats totals[kRegisters][kTokens];
  for (int64_t group = 0; group < call.groups; ++group) {
    const int64_t units = group + 1 < call.groups ? call.units : call.last_units;
    const TileSums<Isa, kTokens> sums = sums_of<Isa, Fields, kTokens>(bytes, q, units);
    bytes += units * kUnitBytes;
    q += units * (Fields::kFields * kTokens * 4);
    for (int r = 0; r < kRegisters; ++r) {
      for (int t = 0; t < kTokens; ++t) {
        const int32_t correction = call.offset * call.tile.sums[group * kTokens + t];
        const Floats product = Isa::product(sums.rows[r][t], call.gain, correction);
        if (!grouped) {
          totals[r][t] = product;
          continue;
        }
        const float* scales =
            call.w_scales + (panel * call.groups + group) * kPanelRows + r * Isa::kRows;
        Floats factor = Isa::load_floats(scales);
        if (own_scales) {
          factor = Isa::over(factor, Isa::fill_floats(call.tile.scales[group * kTokens + t]));
        }
        const Floats term = Isa::times(product, factor);
        totals[r][t] = group == 0 ? term : Isa::plus_floats(totals[r][t], term);
      }
    }
  }
  const int64_t first_row = panel * kPanelRows;
  for (int r = 0; r < kRegisters; ++r) {
    const int64_t row = first_row + r * Isa::kRows;
    const int64_t rows = call.rows - row;
    if (rows <= 0) break;
    Floats w_scales = Isa::fill_floats(grouped ? 1.0f : *call.w_scales);
    if (by_row) w_scales = Isa::load_floats(call.w_scales + row);
    for (int t = 0; t < call.tokens; ++t) {
      const Floats q_scale = Isa::fill_floats(call.tile.scales[t]);
      const Floats y = !grouped     ? Isa::times(totals[r][t], Isa::over(w_scales, q_scale))
                       : own_scales ? totals[r][t]
                                    : Isa::over(totals[r][t], q_scale);
      store_rows<Isa>(y, rows, call.out + t * call.out_stride + row);
    }
  }
}

template <class Isa, class Fields, int kTokens>
void run_panels(const PanelCall& call) {
  const int64_t units = (call.groups - 1) * call.units + call.last_units;
  const int64_t panel_bytes = units * (4 * Isa::kRegisters * Isa::kRows);
  for (int64_t panel = 0; panel < call.panel_count; ++panel) {
    panel_products<Isa, Fields, kTokens>(call, panel, call.panels + panel * panel_bytes);
  }
}

template <class Isa, PanelFormat kFormat>
void panel_dot(const PanelCall& call) {
  using Fields = FieldsOf<Isa, kFormat>;
  static_assert(Fields::kFields == fields_of(kFormat));
  static_assert(Isa::kRegisters * Isa::kRows <= kMaxPanelRows);
  unroll<kPanelTiles>([&](auto index) {
    constexpr int kTokens = Isa::kTiles[decltype(index)::value];
    if (call.tile.tile == kTokens) run_panels<Isa, Fields, kTokens>(call);
  });
}

// The kernel of five trits a byte, where there is one.
template <class Isa>
constexpr auto trit5_dot() -> void (*)(const PanelCall&) {
  if constexpr (Isa::kHasTables) {
    return panel_dot<Isa, PanelFormat::kTrit5>;
  } else {
    return nullptr;
  }
}

}  // namespace
}  // namespace tercet
