// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/packed_matrix.h"

namespace tercet {

// A batch of int8 vectors cut into tiles that kernels take, each in the order of one arrangement:
// full tiles of the widest kind, then one that just holds the rest. Keeps its memory from batch to
// batch.
class TokenTiles {
 public:
  // Scales of activations: [tokens, per_token], per_token 1 or the groups of the arrangement.
  struct Scales {
    const float* values = nullptr;
    int64_t per_token = 1;
  };
  // q: [tokens, arrangement.cols], one token or more. Both are copied.
  void arrange(const PackedMatrix::Arrangement& arrangement, const int8_t* q, const Scales& scales,
               int64_t tokens, const KernelTable& kernels, ThreadPool& pool);

  int64_t tokens() const { return tokens_; }

  // Whether the batch is that of `q` in this arrangement.
  bool holds(const PackedMatrix::Arrangement& arrangement, const int8_t* q) const {
    return q_ == q && arrangement_ == arrangement;
  }

  int64_t count() const { return (tokens_ + widest_ - 1) / widest_; }
  int64_t first(int64_t tile) const { return tile * widest_; }
  int tokens(int64_t tile) const;
  PanelTile tile(int64_t tile) const;

  uint64_t bytes() const {
    return places_.size() + (sums_.size() + scales_.size()) * sizeof(float);
  }

 private:
  int width(int64_t tile) const;
  void arrange_scales(const Scales& scales, int64_t tile);

  PackedMatrix::Arrangement arrangement_;
  const int8_t* q_ = nullptr;
  int64_t tokens_ = 0;
  int64_t widest_ = 1;
  std::array<int, kPanelTiles> widths_{};
  std::vector<int8_t> places_;  // of all tiles, one after the other
  std::vector<int32_t> sums_;
  std::vector<float> scales_;  // of each tile [scales_per_token_][places]
  int64_t scales_per_token_ = 1;
};

}  // namespace tercet
