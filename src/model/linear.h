// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/packed_matrix.h"
#include "model/token_tiles.h"
#include "model/weights.h"

namespace tercet {

// A batch of input vectors as linear maps take them. Maps with int8 activations read `q`, which is
// x * scale[token] rounded to int8 over the whole row (BitNet b1.58, methods.md 2.1), all others
// read `x`.
struct LinearInput {
  const float* x = nullptr;      // [tokens, cols]
  const int8_t* q = nullptr;     // [tokens, cols]
  const float* scale = nullptr;  // [tokens, groups]
  const float* shift = nullptr;  // [tokens, groups] of shifted inputs (InputForm), else nullptr
  int64_t groups = 1;
};

// One product out[t][r] = sum_c W[r][c] * input[t][c] + bias[r]; out: [tokens, weights->rows].
struct LinearJob {
  const LinearWeights* weights = nullptr;
  const PackedMatrix* packed = nullptr;  // of the same weights, if they take int8 activations
  LinearInput input;
  float* out = nullptr;
};

// Memory that run_linear() keeps from call to call: inputs in the order of panels.
class LinearScratch {
 public:
  // The place of input number `index` of a call.
  TokenTiles& place(size_t index) {
    if (index == places_.size()) places_.emplace_back();
    return places_[index];
  }
  uint64_t bytes() const;

 private:
  std::deque<TokenTiles> places_;
};

// Runs `jobs` on `tokens` vectors each, their rows shared out over the pool. Products with int8 are
// exact in int32 (per group of columns where scales are per group), then
// y = product * (weight scale / activation scale) in f32; shifts times the sums of the weights are
// added. The result of a row depends neither on
// the number of threads nor on the other tokens of the batch.
void run_linear(std::span<const LinearJob> jobs, int64_t tokens, const KernelTable& kernels,
                ThreadPool& pool, LinearScratch& scratch);

// Columns that are decoded together: whole blocks and whole bytes of every stored type.
inline constexpr int64_t kDecodeColumns = 1280;

// Columns [first, first + out.size()) of a row of any stored type as f32; `first` a multiple of
// kDecodeColumns, at most that many.
void decode_columns(const LinearWeights& weights, int64_t row, int64_t first, std::span<float> out);
// The whole row; out: [cols].
void decode_row(const LinearWeights& weights, int64_t row, float* out);

// The codes of a ternary matrix and the scales they have in effect. Throws kBadInput naming the
// tensor when the bytes hold impossible codes.
packing::TernaryMatrix decode_ternary(const LinearWeights& weights);

}  // namespace tercet
