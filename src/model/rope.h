// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "formats/rope_frequencies.h"
#include "kernels/kernel_table.h"

namespace tercet {

// Which of the leading `dimensions` elements of a head, those that rotate, do so together.
enum class RopeOrder {
  kHalfSplit,  // (i, i + dimensions / 2): HF checkpoints, all GGUF architectures but "llama"
  kAdjacent,   // (2i, 2i + 1): GGUF "llama", whose q and k rows are stored in that order
};

// Rotary position embedding over the leading elements of heads: pair i turns by
// position * radians[i]. Elements behind the pairs stay as they are.
class Rope {
 public:
  Rope(RopeOrder order, RopeFrequencies frequencies);

  // Pairs that rotate.
  int64_t pairs() const { return static_cast<int64_t>(frequencies_.radians.size()); }

  // Cosines and sines for one position, computed in double, rounded to f32; each [pairs].
  void angles(int64_t position, float* cosines, float* sines) const;

  // Rotates one head in place; head: [head_dim], at least 2 * pairs.
  void rotate(const float* cosines, const float* sines, const KernelTable& kernels,
              float* head) const;

 private:
  RopeOrder order_;
  RopeFrequencies frequencies_;
};

// How the rows of a q or k matrix (or the elements of its bias) in half-split order are read to
// give adjacent order: adjacent[r] = half_split[permutation[r]]. [n_heads * head_dim]. Of each head
// only the first rotary_dim (even) rows move.
std::vector<int64_t> adjacent_permutation(int64_t n_heads, int64_t head_dim, int64_t rotary_dim);
// Its inverse: half_split[r] = adjacent[permutation[r]].
std::vector<int64_t> half_split_permutation(int64_t n_heads, int64_t head_dim, int64_t rotary_dim);

}  // namespace tercet
