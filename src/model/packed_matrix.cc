// SPDX-License-Identifier: Apache-2.0
#include "model/packed_matrix.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "model/ternary_rows.h"
#include "packing/row_codes.h"

namespace tercet {
namespace {

PackedMatrix::Arrangement arrangement_of(const PanelSource& source, int64_t cols, int64_t group) {
  PackedMatrix::Arrangement out;
  out.source = source;
  out.cols = cols;
  out.group = group;
  const PanelShape shape = panel_shape(source, 1, cols, group, 1);
  out.groups = shape.groups;
  out.row_places = shape.row_units() * 4 * fields_of(source.format);
  return out;
}

bool has_kernel(const KernelTable& kernels, PanelFormat format) {
  return kernels.panel_dot[static_cast<size_t>(format)] != nullptr;
}

// Five trits a byte become four where there is no kernel for them.
bool needs_trit4(const LinearWeights& weights, const KernelTable& kernels) {
  return !has_kernel(kernels, panel_source(layout_of(weights.type)).format);
}

PackedMatrix::Arrangement arrangement_of(const LinearWeights& weights, const KernelTable& kernels) {
  if (weights.cols > kMaxPanelColumns) {
    fail(ErrorCode::kUnsupported,
         "tensor '{}' has rows of {} weights, products of more than {} do not fit 32 bits",
         weights.name, weights.cols, kMaxPanelColumns);
  }
  const bool grouped = weights.scope == packing::ScaleScope::kGroup;
  const packing::Layout layout =
      needs_trit4(weights, kernels) ? packing::Layout::kTrit4 : layout_of(weights.type);
  return arrangement_of(panel_source(layout), weights.cols,
                        grouped ? weights.group_size : weights.cols);
}

// Rows of another layout as trit4, one panel at a time.
void pack_as_trit4(const LinearWeights& weights, int64_t group, int64_t panel_rows, int64_t first,
                   int64_t count, uint8_t* out) {
  constexpr packing::Layout kLayout = packing::Layout::kTrit4;
  const PanelSource source = panel_source(kLayout);
  const PanelShape shape = panel_shape(source, weights.rows, weights.cols, group, panel_rows);
  const int64_t stride = packing::stored_row_bytes(kLayout, weights.cols, group);
  std::vector<int8_t> codes(static_cast<size_t>(weights.cols));
  std::vector<uint8_t> rows(static_cast<size_t>(panel_rows * stride));
  for (int64_t panel = first; panel < first + count; ++panel) {
    const int64_t first_row = panel * panel_rows;
    const int64_t in_panel = std::min(panel_rows, weights.rows - first_row);
    for (int64_t i = 0; i < in_panel; ++i) {
      packing::unpack_row(layout_of(weights.type),
                          weights.data.data() + (first_row + i) * weights.row_stride, group, codes);
      packing::pack_row(kLayout, codes, group, {}, rows.data() + i * stride);
    }
    pack_panels(source, {rows, stride, in_panel, weights.cols, group}, panel_rows, 0, 1,
                out + (panel - first) * shape.panel_bytes);
  }
}

}  // namespace

size_t PackedMatrix::code_bytes(const LinearWeights& weights, const KernelTable& kernels) {
  const Arrangement arrangement = arrangement_of(weights, kernels);
  return static_cast<size_t>(panel_shape(arrangement.source, weights.rows, weights.cols,
                                         arrangement.group, kernels.panel_rows)
                                 .bytes());
}

PackedMatrix::PackedMatrix(const LinearWeights& weights, const KernelTable& kernels,
                           ThreadPool& pool, std::span<uint8_t> memory)
    : rows_(weights.rows),
      cols_(weights.cols),
      panel_rows_(kernels.panel_rows),
      arrangement_(arrangement_of(weights, kernels)),
      shape_(panel_shape(arrangement_.source, rows_, cols_, arrangement_.group, panel_rows_)),
      codes_(memory),
      scope_(weights.scope) {
  const PanelRows rows{weights.data, weights.row_stride, rows_, cols_, arrangement_.group};
  const bool as_trit4 = needs_trit4(weights, kernels);
  const auto pack = [&](int64_t begin, int64_t end) {
    uint8_t* to = memory.data() + begin * shape_.panel_bytes;
    if (as_trit4) {
      return pack_as_trit4(weights, arrangement_.group, panel_rows_, begin, end - begin, to);
    }
    pack_panels(arrangement_.source, rows, panel_rows_, begin, end - begin, to);
  };
  pool.parallel_for(shape_.panels, 1, std::ref(pack));
  arrange_scales(weights);
  if (weights.input.shifted) add_up(weights);
}

PackedMatrix::PackedMatrix(const PanelSource& source, int64_t rows, int64_t cols,
                           int64_t panel_rows, std::vector<float> row_scales,
                           std::span<const uint8_t> memory)
    : rows_(rows),
      cols_(cols),
      panel_rows_(panel_rows),
      arrangement_(arrangement_of(source, cols, cols)),
      shape_(panel_shape(source, rows, cols, cols, panel_rows)),
      codes_(memory),
      scope_(packing::ScaleScope::kRow),
      scales_(std::move(row_scales)) {}

void PackedMatrix::arrange_scales(const LinearWeights& weights) {
  if (scope_ == packing::ScaleScope::kTensor) {
    scales_.assign(1, weights.scales.front());
    return;
  }
  // Kernels load whole panels; what lies behind the last row is never stored.
  scales_.assign(static_cast<size_t>(shape_.panels * arrangement_.groups * panel_rows_), 0.0f);
  for (int64_t row = 0; row < rows_; ++row) {
    const int64_t panel = row / panel_rows_;
    for (int64_t group = 0; group < arrangement_.groups; ++group) {
      const int64_t to = (panel * arrangement_.groups + group) * panel_rows_ + row % panel_rows_;
      scales_[static_cast<size_t>(to)] =
          weights.scales[static_cast<size_t>(row * arrangement_.groups + group)];
    }
  }
}

void PackedMatrix::add_up(const LinearWeights& weights) {
  const TernaryRows rows(weights);
  std::vector<int8_t> codes(static_cast<size_t>(cols_));
  std::vector<float> scales(static_cast<size_t>(rows.scales_per_row()));
  sums_.reserve(static_cast<size_t>(rows_ * arrangement_.groups));
  for (int64_t row = 0; row < rows_; ++row) {
    rows.codes(row, codes);
    rows.scales(row, scales);
    for (int64_t group = 0; group < arrangement_.groups; ++group) {
      const auto first = codes.begin() + group * arrangement_.group;
      const int64_t width = std::min(arrangement_.group, cols_ - group * arrangement_.group);
      const int64_t sum = std::accumulate(first, first + width, int64_t{0});
      sums_.push_back(static_cast<float>(sum) * scales[static_cast<size_t>(group)]);
    }
  }
}

void PackedMatrix::add_shifts(const float* shifts, int64_t tokens, int64_t first, int64_t last,
                              float* out) const {
  const int64_t groups = arrangement_.groups;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t row = first; row < last; ++row) {
      float sum = 0.0f;
      for (int64_t group = 0; group < groups; ++group) {
        sum += shifts[t * groups + group] * sums_[static_cast<size_t>(row * groups + group)];
      }
      out[t * rows_ + row] += sum;
    }
  }
}

void PackedMatrix::multiply(const KernelTable& kernels, int64_t first, int64_t count,
                            const PanelTile& tile, int tokens, float* out,
                            int64_t out_stride) const {
  const int64_t scales_per_panel =
      scope_ == packing::ScaleScope::kTensor ? 0 : arrangement_.groups * panel_rows_;
  PanelCall call;
  call.panels = codes_.data() + first * shape_.panel_bytes;
  call.panel_count = count;
  call.groups = arrangement_.groups;
  call.units = shape_.units;
  call.last_units = shape_.last_units;
  call.gain = arrangement_.source.gain;
  call.offset = arrangement_.source.offset;
  call.scope = scope_;
  call.w_scales = scales_.data() + first * scales_per_panel;
  call.tile = tile;
  call.tokens = tokens;
  call.rows = rows_ - first * panel_rows_;
  call.out = out;
  call.out_stride = out_stride;
  kernels.panel_dot[static_cast<size_t>(arrangement_.source.format)](call);
}

}  // namespace tercet
