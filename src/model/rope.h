// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace tercet {

// Which elements of a head rotate together.
enum class RopeOrder {
  kHalfSplit,  // (i, i + head_dim / 2): HF checkpoints, GGUF "bitnet*" and "tercet"
  kAdjacent,   // (2i, 2i + 1): GGUF "llama", whose q and k rows are stored in that order
};

// Rotary position embedding over whole heads: pair i turns by position * theta^(-2i / head_dim).
class Rope {
 public:
  // head_dim even.
  Rope(RopeOrder order, int64_t head_dim, double theta);

  // Cosines and sines for one position, computed in double, rounded to f32; each [head_dim / 2].
  void angles(int64_t position, float* cosines, float* sines) const;

  // Rotates one head in place; head: [head_dim].
  void rotate(const float* cosines, const float* sines, float* head) const;

 private:
  RopeOrder order_;
  std::vector<double> frequencies_;  // [head_dim / 2]
};

// How the rows of a q or k matrix in half-split order are read to give adjacent order:
// adjacent[r] = half_split[permutation[r]]. [n_heads * head_dim].
std::vector<int64_t> adjacent_permutation(int64_t n_heads, int64_t head_dim);
// Its inverse: half_split[r] = adjacent[permutation[r]].
std::vector<int64_t> half_split_permutation(int64_t n_heads, int64_t head_dim);

}  // namespace tercet
