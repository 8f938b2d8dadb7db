// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace tercet::packing {

// absmean_scale() and quantize_absmean() of packing/ternary.h for weights that come in parts.

// The sum behind the scale. Adding the parts of a matrix in order gives exactly what adding all of
// it at once does.
class AbsmeanSum {
 public:
  void add(std::span<const float> weights);
  // mean(|w|), not below 1e-5; NaN or infinite when a weight is.
  float scale() const;

 private:
  double sum_ = 0.0;
  uint64_t count_ = 0;
};

// The mean that BitNet b1 subtracts (methods.md 1.1), from parts in order as above.
class MeanSum {
 public:
  void add(std::span<const float> weights);
  float mean() const;  // 0 of nothing

 private:
  double sum_ = 0.0;
  uint64_t count_ = 0;
};
float mean_of(std::span<const float> weights);

// code = w > centre ? 1 : -1.
void centred_sign_codes(std::span<const float> weights, float centre, std::span<int8_t> codes);

// code = clamp(round_half_even(w * (1 / gamma)), -1, 1), for finite weights; codes: as many.
void absmean_codes(std::span<const float> weights, float gamma, std::span<int8_t> codes);

}  // namespace tercet::packing
