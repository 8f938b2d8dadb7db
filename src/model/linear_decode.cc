// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "core/error.h"
#include "core/half.h"
#include "model/linear.h"

namespace tercet {
namespace {

constexpr int64_t kQ8Block = 32;

uint16_t load_u16(const uint8_t* at) { return static_cast<uint16_t>(at[0] | (at[1] << 8)); }

void decode_q8_0(const uint8_t* row, int64_t cols, float* out) {
  for (int64_t start = 0; start < cols; start += kQ8Block, row += 2 + kQ8Block) {
    const float scale = f16_to_f32(load_u16(row));
    for (int64_t i = 0; i < kQ8Block; ++i) {
      out[start + i] = scale * static_cast<float>(static_cast<int8_t>(row[2 + i]));
    }
  }
}

packing::OwnView own_view(const LinearWeights& w) {
  packing::OwnView view;
  view.layout = layout_of(w.type);
  view.scope = w.scope;
  view.rows = w.rows;
  view.cols = w.cols;
  view.group_size = w.group_size;
  view.row_stride = w.row_stride;
  view.codes = w.data;
  view.scales = w.scales;
  return view;
}

}  // namespace

void decode_dense_row(const LinearWeights& w, int64_t row, float* out) {
  const uint8_t* data = w.data.data() + row * w.row_stride;
  switch (w.type) {
    case StoredType::kF32:
      std::memcpy(out, data, static_cast<size_t>(w.cols) * sizeof(float));
      return;
    case StoredType::kF16:
      for (int64_t c = 0; c < w.cols; ++c) out[c] = f16_to_f32(load_u16(data + 2 * c));
      return;
    case StoredType::kBF16:
      for (int64_t c = 0; c < w.cols; ++c) out[c] = bf16_to_f32(load_u16(data + 2 * c));
      return;
    case StoredType::kQ8_0:
      return decode_q8_0(data, w.cols, out);
    default:
      fail(ErrorCode::kInternal, "'{}' is {}; its rows cannot be read as dense", w.name,
           to_string(w.type));
  }
}

packing::TernaryMatrix decode_ternary(const LinearWeights& w) {
  if (is_own(w.type)) return packing::decode_own(own_view(w));
  packing::TernaryMatrix matrix = w.type == StoredType::kTq1_0
                                      ? packing::decode_tq1_0(w.data, w.rows, w.cols, w.name)
                                      : packing::decode_tq2_0(w.data, w.rows, w.cols, w.name);
  matrix.scope = w.scope;
  matrix.group_size = w.group_size;
  matrix.scales.assign(w.scales.begin(), w.scales.end());
  return matrix;
}

}  // namespace tercet
