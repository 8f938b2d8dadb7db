// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tercet::packing {

// absmean_scale() and quantize_absmean() of packing/ternary.h for weights that come in parts.

// A sum of floats in double, element i in lane i % 8 and the lanes added in order at the end: the
// same for every caller, in whatever parts the elements come, and fast.
class LaneSum {
 public:
  static constexpr size_t kLanes = 8;
  void add(std::span<const float> values);
  void add_magnitudes(std::span<const float> values);
  double mean() const;  // 0 of nothing
  uint64_t count() const { return count_; }

 private:
  template <typename Term>
  void add_terms(std::span<const float> values, Term term);

  std::array<double, kLanes> lanes_{};
  uint64_t count_ = 0;
};

// The sum behind the scale. Adding the parts of a matrix in order gives exactly what adding all of
// it at once does.
class AbsmeanSum {
 public:
  void add(std::span<const float> weights) { sum_.add_magnitudes(weights); }
  // mean(|w|), not below 1e-5; NaN or infinite when a weight is.
  float scale() const;

 private:
  LaneSum sum_;
};

// The mean that BitNet b1 subtracts (methods.md 1.1), from parts in order as above.
class MeanSum {
 public:
  void add(std::span<const float> weights) { sum_.add(weights); }
  float mean() const { return static_cast<float>(sum_.mean()); }  // 0 of nothing

 private:
  LaneSum sum_;
};
float mean_of(std::span<const float> weights);

// code = w > centre ? 1 : -1.
void centred_sign_codes(std::span<const float> weights, float centre, std::span<int8_t> codes);

// code = clamp(round_half_even(w * (1 / gamma)), -1, 1), for finite weights; codes: as many.
void absmean_codes(std::span<const float> weights, float gamma, std::span<int8_t> codes);

}  // namespace tercet::packing
