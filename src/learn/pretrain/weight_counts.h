// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/model_config.h"

namespace tercet::learn {

// Bins of the histogram of latent weights, in units of their scale gamma = mean |w|: one below -4,
// 80 of width 0.1, one from 4 on.
struct LatentBins {
  static constexpr double kLow = -4;
  static constexpr double kHigh = 4;
  static constexpr int64_t kInside = 80;
  static constexpr size_t kAll = kInside + 2;
};

// Weights by code and by size; of a model without codes only the histogram.
struct WeightCounts {
  int64_t weights = 0;
  int64_t minus = 0;
  int64_t zero = 0;
  int64_t plus = 0;
  int64_t changed = 0;  // codes that differ from those of the measurement before
  std::array<int64_t, LatentBins::kAll> histogram = {};

  WeightCounts& operator+=(const WeightCounts& other);
};

// The codes -1, 0, 1 of a matrix at two bits each; rows are padded to whole words. All 0 at first.
class CodeMemory {
 public:
  CodeMemory(int64_t rows, int64_t cols);
  // Takes the codes of a row [cols]; adds to `counts` how many are -1 and 1 and how many differ
  // from those that it had.
  void replace_row(int64_t row, std::span<const int8_t> codes, WeightCounts& counts);

  // For checkpoints: rows * ceil(cols / 32) words.
  std::span<uint64_t> words() { return words_; }
  std::span<const uint64_t> words() const { return words_; }

 private:
  size_t words_per_row_;
  std::vector<uint64_t> words_;
};

// Counts a matrix [rows, cols] as `kind` rounds it, with one scale (and for b1 one centre) per
// matrix or per group of columns, exactly as the forward pass does. `memory` keeps its codes for
// the next time; null for kDense.
WeightCounts count_weights(std::span<const float> weights, int64_t rows, int64_t cols,
                           LinearKind kind, CodeMemory* memory, int64_t groups = 1);

}  // namespace tercet::learn
