// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "model/weights.h"

namespace tercet {

// How far the scales of a ternary matrix reach.
struct ScaleReach {
  packing::ScaleScope scope = packing::ScaleScope::kTensor;
  int64_t group_size = 0;  // columns per scale; all of them unless kGroup

  bool operator==(const ScaleReach&) const = default;
};

// Reads a ternary matrix of any stored type row by row. The weights must outlive it.
class TernaryRows {
 public:
  // Throws kInternal when `weights` is not ternary.
  explicit TernaryRows(const LinearWeights& weights);

  int64_t rows() const { return weights_.rows; }
  int64_t cols() const { return weights_.cols; }
  // As stored.
  ScaleReach reach() const { return reach_; }
  int64_t scales_per_row() const { return (weights_.cols + group() - 1) / group(); }

  // The codes of a row; out: [cols]. Throws kBadInput naming the tensor when it holds bytes that
  // stand for no ternary codes.
  void codes(int64_t row, std::span<int8_t> out) const;
  // Its scales, one per group of columns, the same one everywhere where a scale reaches further;
  // out: [scales_per_row]. Throws kBadInput naming the tensor when one is not finite.
  void scales(int64_t row, std::span<float> out) const;

 private:
  int64_t group() const { return reach_.group_size; }

  const LinearWeights& weights_;
  packing::Layout layout_;
  ScaleReach reach_;
};

// How far the scales really reach: one for the tensor where all of them are equal, else as stored.
// Reads the scales of all rows.
ScaleReach effective_reach(const TernaryRows& rows);

}  // namespace tercet
