// SPDX-License-Identifier: Apache-2.0
#include "model/tensor_encoder.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "model/linear.h"

namespace tercet {
namespace {

// Row order of the target in terms of the source; empty when nothing moves.
std::vector<int64_t> row_order(const PlannedTensor& plan) {
  if (plan.permuted_heads == 0) return {};
  // A bias has one element for each row of its matrix.
  const int64_t rows = plan.spec.rows == 0 ? plan.spec.cols : plan.spec.rows;
  const int64_t head_dim = rows / plan.permuted_heads;
  const auto permutation = plan.to_adjacent ? adjacent_permutation : half_split_permutation;
  return permutation(plan.permuted_heads, head_dim, plan.rotary_dim);
}

float scale_at(const packing::TernaryMatrix& matrix, int64_t row, int64_t column) {
  switch (matrix.scope) {
    case packing::ScaleScope::kTensor:
      return matrix.scales[0];
    case packing::ScaleScope::kRow:
      return matrix.scales[static_cast<size_t>(row)];
    case packing::ScaleScope::kGroup:
      break;
  }
  const int64_t groups = (matrix.cols + matrix.group_size - 1) / matrix.group_size;
  return matrix.scales[static_cast<size_t>(row * groups + column / matrix.group_size)];
}

std::vector<float> multiply_out(const packing::TernaryMatrix& matrix) {
  std::vector<float> values(matrix.codes.size());
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t column = 0; column < matrix.cols; ++column) {
      const size_t at = static_cast<size_t>(row * matrix.cols + column);
      values[at] = static_cast<float>(matrix.codes[at]) * scale_at(matrix, row, column);
    }
  }
  return values;
}

EncodedMatrix encode_ternary(const packing::TernaryMatrix& matrix, const PlannedTensor& plan) {
  const std::string& name = plan.spec.gguf_name;
  switch (plan.type) {
    case StoredType::kTq1_0:
      return {packing::encode_tq1_0(matrix, name), matrix.scales[0]};
    case StoredType::kTq2_0:
      return {packing::encode_tq2_0(matrix, name), matrix.scales[0]};
    case StoredType::kTrit4:
    case StoredType::kTrit5:
      return {packing::encode_own(layout_of(plan.type), matrix), 1.0f};
    default:
      return {from_f32(multiply_out(matrix), file_dtype(plan.type), matrix.cols, name), 1.0f};
  }
}

std::vector<uint8_t> reorder_bytes(const LinearWeights& source, const std::vector<int64_t>& order) {
  if (order.empty()) return {source.data.begin(), source.data.end()};
  std::vector<uint8_t> out;
  out.reserve(source.data.size());
  for (const int64_t row : order) {
    const auto begin = source.data.begin() + row * source.row_stride;
    out.insert(out.end(), begin, begin + source.row_stride);
  }
  return out;
}

// Bytes of the same type move as they are, so that even q8_0 made elsewhere stays what it was.
std::vector<uint8_t> encode_dense(const LinearWeights& source, const PlannedTensor& plan) {
  std::vector<uint8_t> bytes = reorder_bytes(source, row_order(plan));
  if (source.type == plan.type) return bytes;
  const TensorView view{source.name, file_dtype(source.type), {source.rows, source.cols}, bytes};
  return from_f32(to_f32(view), file_dtype(plan.type), source.cols, plan.spec.gguf_name);
}

}  // namespace

packing::TernaryMatrix reorder_rows(const packing::TernaryMatrix& matrix,
                                    const std::vector<int64_t>& permutation) {
  packing::TernaryMatrix out = matrix;
  const int64_t scales_per_row = matrix.scope == packing::ScaleScope::kTensor
                                     ? 0
                                     : static_cast<int64_t>(matrix.scales.size()) / matrix.rows;
  for (int64_t row = 0; row < matrix.rows; ++row) {
    const int64_t from = permutation[static_cast<size_t>(row)];
    std::copy_n(matrix.codes.begin() + from * matrix.cols, matrix.cols,
                out.codes.begin() + row * matrix.cols);
    std::copy_n(matrix.scales.begin() + from * scales_per_row, scales_per_row,
                out.scales.begin() + row * scales_per_row);
  }
  return out;
}

std::vector<float> encode_vector(std::vector<float> source, const PlannedTensor& plan) {
  const std::vector<int64_t> order = row_order(plan);
  if (order.empty()) return source;
  std::vector<float> out;
  out.reserve(source.size());
  for (const int64_t from : order) out.push_back(source[static_cast<size_t>(from)]);
  return out;
}

EncodedMatrix encode_matrix(const LinearWeights& source, const PlannedTensor& plan) {
  if (!is_ternary(source.type)) return {encode_dense(source, plan), 1.0f};
  packing::TernaryMatrix matrix = decode_ternary(source);
  const std::vector<int64_t> order = row_order(plan);
  if (!order.empty()) matrix = reorder_rows(matrix, order);
  return encode_ternary(matrix, plan);
}

}  // namespace tercet
