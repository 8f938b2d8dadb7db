// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstring>

#include "core/error.h"
#include "core/half.h"
#include "model/linear.h"
#include "model/ternary_rows.h"
#include "packing/quant_blocks.h"
#include "packing/row_codes.h"

namespace tercet {
namespace {

uint16_t load_u16(const uint8_t* at) { return static_cast<uint16_t>(at[0] | (at[1] << 8)); }

void decode_floats(StoredType type, const uint8_t* data, int64_t count, float* out) {
  switch (type) {
    case StoredType::kF32:
      std::memcpy(out, data, static_cast<size_t>(count) * sizeof(float));
      return;
    case StoredType::kF16:
      for (int64_t c = 0; c < count; ++c) out[c] = f16_to_f32(load_u16(data + 2 * c));
      return;
    default:
      for (int64_t c = 0; c < count; ++c) out[c] = bf16_to_f32(load_u16(data + 2 * c));
      return;
  }
}

int64_t float_bytes(StoredType type) { return type == StoredType::kF32 ? 4 : 2; }

// Codes times the scales in effect, which are not always those in the blocks.
void decode_codes(const LinearWeights& w, int64_t row, int64_t first, std::span<float> out) {
  std::array<int8_t, kDecodeColumns> codes;
  packing::unpack_columns(layout_of(w.type), w.data.data() + row * w.row_stride, w.cols,
                          w.group_size, first, std::span(codes).first(out.size()));
  const int64_t groups = (w.cols + w.group_size - 1) / w.group_size;
  const int64_t end = first + static_cast<int64_t>(out.size());
  for (int64_t column = first; column < end;) {
    const int64_t group = column / w.group_size;
    const int64_t stop = std::min(end, (group + 1) * w.group_size);
    const int64_t index = w.scope == packing::ScaleScope::kTensor ? 0
                          : w.scope == packing::ScaleScope::kRow  ? row
                                                                  : row * groups + group;
    const float scale = w.scales[static_cast<size_t>(index)];
    for (; column < stop; ++column) {
      const size_t at = static_cast<size_t>(column - first);
      out[at] = scale * static_cast<float>(codes[at]);
    }
  }
}

}  // namespace

void decode_columns(const LinearWeights& w, int64_t row, int64_t first, std::span<float> out) {
  const int64_t count = static_cast<int64_t>(out.size());
  const uint8_t* data = w.data.data() + row * w.row_stride;
  if (is_float(w.type)) {
    return decode_floats(w.type, data + first * float_bytes(w.type), count, out.data());
  }
  if (is_ternary(w.type) && !has_inner_scales(w.type)) return decode_codes(w, row, first, out);
  const packing::BlockType type = *block_type_of(w.type);
  const packing::BlockShape shape = packing::block_shape(type);
  packing::decode_blocks(type, data + first / shape.elements * shape.bytes, count, out.data());
}

void decode_row(const LinearWeights& weights, int64_t row, float* out) {
  for (int64_t first = 0; first < weights.cols; first += kDecodeColumns) {
    const int64_t count = std::min(kDecodeColumns, weights.cols - first);
    decode_columns(weights, row, first, {out + first, static_cast<size_t>(count)});
  }
}

packing::TernaryMatrix decode_ternary(const LinearWeights& w) {
  const TernaryRows rows(w);
  const ScaleReach reach = effective_reach(rows);
  packing::TernaryMatrix matrix;
  matrix.rows = w.rows;
  matrix.cols = w.cols;
  matrix.scope = reach.scope;
  matrix.group_size = reach.scope == packing::ScaleScope::kGroup ? reach.group_size : 0;
  matrix.codes.resize(static_cast<size_t>(w.rows) * static_cast<size_t>(w.cols));
  std::vector<float> scales(static_cast<size_t>(rows.scales_per_row()));
  for (int64_t row = 0; row < w.rows; ++row) {
    rows.codes(row, std::span(matrix.codes)
                        .subspan(static_cast<size_t>(row * w.cols), static_cast<size_t>(w.cols)));
    rows.scales(row, scales);
    if (reach.scope == packing::ScaleScope::kTensor) {
      matrix.scales.assign(1, scales.front());
    } else {
      matrix.scales.insert(matrix.scales.end(), scales.begin(), scales.end());
    }
  }
  return matrix;
}

}  // namespace tercet
