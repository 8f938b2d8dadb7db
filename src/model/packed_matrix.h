// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "kernels/panel_source.h"
#include "model/weights.h"

namespace tercet {

// A matrix with int8 activations in the order of one kernel table (kernels/panel.h). Its codes lie
// in memory that the caller gives and keeps.
class PackedMatrix {
 public:
  // Bytes of memory that the codes need. weights.int8_activations must be set. Throws kUnsupported
  // naming the tensor when its rows are longer than the kernels' sums hold.
  static size_t code_bytes(const LinearWeights& weights, const KernelTable& kernels);
  // memory: zeroed, code_bytes() long, aligned to 64 for speed. The stored form is not needed
  // after.
  PackedMatrix(const LinearWeights& weights, const KernelTable& kernels, ThreadPool& pool,
               std::span<uint8_t> memory);
  // Panels that somebody else lays into `memory`, with a scale for each row; row_scales: [rows]
  // filled up to whole panels.
  PackedMatrix(const PanelSource& source, int64_t rows, int64_t cols, int64_t panel_rows,
               std::vector<float> row_scales, std::span<const uint8_t> memory);

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t panels() const { return shape_.panels; }
  int64_t panel_bytes() const { return shape_.panel_bytes; }
  // Bytes that a product with all rows reads.
  uint64_t bytes() const { return codes_.size() + scales_.size() * sizeof(float); }

  // Activations as these panels take them. Matrices with the same one share them.
  struct Arrangement {
    PanelSource source;
    int64_t cols = 0;
    int64_t group = 0;
    int64_t groups = 0;
    int64_t row_places = 0;  // activations of a row, idle places included

    bool operator==(const Arrangement&) const = default;
  };
  const Arrangement& arrangement() const { return arrangement_; }

  // Panels [first, first + count) times one tile: out[t * out_stride + row], row counted from the
  // first of those panels. The tile must be of this arrangement.
  void multiply(const KernelTable& kernels, int64_t first, int64_t count, const PanelTile& tile,
                int tokens, float* out, int64_t out_stride) const;

  // Adds what the map makes of constants [tokens, groups], one for the columns of each group, to
  // rows [first, last) of out: [tokens, rows]. Of weights with shifted inputs only.
  void add_shifts(const float* shifts, int64_t tokens, int64_t first, int64_t last,
                  float* out) const;

 private:
  void arrange_scales(const LinearWeights& weights);
  void add_up(const LinearWeights& weights);

  int64_t rows_;
  int64_t cols_;
  int64_t panel_rows_;
  Arrangement arrangement_;
  PanelShape shape_;
  std::span<const uint8_t> codes_;
  packing::ScaleScope scope_;
  std::vector<float> scales_;
  std::vector<float> sums_;  // [rows, groups] of the weights, if their inputs are shifted
};

}  // namespace tercet
