// SPDX-License-Identifier: Apache-2.0
#include "model/rope.h"

#include <cmath>
#include <utility>

namespace tercet {

Rope::Rope(RopeOrder order, RopeFrequencies frequencies)
    : order_(order), frequencies_(std::move(frequencies)) {}

void Rope::angles(int64_t position, float* cosines, float* sines) const {
  for (size_t i = 0; i < frequencies_.radians.size(); ++i) {
    const double angle = static_cast<double>(position) * frequencies_.radians[i];
    cosines[i] = static_cast<float>(frequencies_.amplitude * std::cos(angle));
    sines[i] = static_cast<float>(frequencies_.amplitude * std::sin(angle));
  }
}

void Rope::rotate(const float* cosines, const float* sines, const KernelTable& kernels,
                  float* head) const {
  const auto rotate =
      order_ == RopeOrder::kHalfSplit ? kernels.rotate_halves : kernels.rotate_neighbours;
  rotate(cosines, sines, pairs(), head);
}

std::vector<int64_t> adjacent_permutation(int64_t n_heads, int64_t head_dim, int64_t rotary_dim) {
  std::vector<int64_t> out(static_cast<size_t>(n_heads * head_dim));
  for (int64_t row = 0; row < n_heads * head_dim; ++row) {
    const int64_t head = row / head_dim;
    const int64_t within = row % head_dim;
    const int64_t from =
        within < rotary_dim ? within / 2 + (within % 2) * (rotary_dim / 2) : within;
    out[static_cast<size_t>(row)] = head * head_dim + from;
  }
  return out;
}

std::vector<int64_t> half_split_permutation(int64_t n_heads, int64_t head_dim, int64_t rotary_dim) {
  const std::vector<int64_t> forward = adjacent_permutation(n_heads, head_dim, rotary_dim);
  std::vector<int64_t> out(forward.size());
  for (size_t row = 0; row < forward.size(); ++row) {
    out[static_cast<size_t>(forward[row])] = static_cast<int64_t>(row);
  }
  return out;
}

}  // namespace tercet
