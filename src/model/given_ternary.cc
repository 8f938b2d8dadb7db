// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "model/hf_ternary.h"
#include "packing/row_codes.h"

namespace tercet {
namespace {

constexpr packing::Layout kLayout = packing::Layout::kTrit4;

// The magnitude of the weights that are not 0; 0 when all are.
float magnitude_of(std::span<const float> weights) {
  float largest = 0;
  for (const float w : weights) largest = std::max(largest, std::abs(w));
  return largest;
}

// Whether every weight is -scale, 0 or scale. NaN is none of them.
bool find_codes(std::span<const float> weights, float scale, std::span<int8_t> codes) {
  bool exact = std::isfinite(scale);
  for (size_t i = 0; i < weights.size(); ++i) {
    codes[i] = static_cast<int8_t>(weights[i] > 0 ? 1 : weights[i] < 0 ? -1 : 0);
    exact = exact && weights[i] == scale * static_cast<float>(codes[i]);
  }
  return exact;
}

// The floats of one row.
std::vector<float> row_of(const TensorView& tensor, int64_t row, const TensorSpec& spec) {
  const size_t size = tensor.bytes.size() / static_cast<size_t>(spec.rows);
  return to_f32({tensor.name,
                 tensor.type,
                 {1, spec.cols},
                 tensor.bytes.subspan(static_cast<size_t>(row) * size, size)});
}

LinearWeights empty_target(const TensorView& tensor, const TensorSpec& spec,
                           const ScaleReach& reach, WeightStorage& storage) {
  LinearWeights out;
  out.name = tensor.name;
  out.type = stored_type(kLayout);
  out.int8_activations = spec.low_bit;
  out.rows = spec.rows;
  out.cols = spec.cols;
  out.scope = reach.scope;
  out.group_size = reach.group_size;
  out.row_stride = packing::stored_row_bytes(kLayout, spec.cols, reach.group_size);
  storage.bytes.emplace_back(static_cast<size_t>(out.rows * out.row_stride));
  out.data = storage.bytes.back();
  out.stored_bytes =
      packing::own_parts(kLayout, spec.rows, spec.cols, reach.scope, reach.group_size).total();
  return out;
}

}  // namespace

ScaleReach given_reach(const GivenTernary& given, int64_t cols) {
  if (given.one_scale) return {packing::ScaleScope::kTensor, cols};
  if (given.group_size == 0 || given.group_size >= cols) return {packing::ScaleScope::kRow, cols};
  return {packing::ScaleScope::kGroup, given.group_size};
}

LinearWeights pack_given(const TensorView& weights, const TensorSpec& spec,
                         const GivenTernary& given, const std::string& origin,
                         WeightStorage& storage) {
  const ScaleReach reach = given_reach(given, spec.cols);
  const bool one_scale = reach.scope == packing::ScaleScope::kTensor;
  LinearWeights out = empty_target(weights, spec, reach, storage);
  std::vector<float> scales;
  if (one_scale) {
    scales.push_back(0);
    for (int64_t row = 0; row < spec.rows; ++row) {
      scales[0] = std::max(scales[0], magnitude_of(row_of(weights, row, spec)));
    }
  }
  std::vector<int8_t> codes(static_cast<size_t>(spec.cols));
  for (int64_t row = 0; row < spec.rows; ++row) {
    const std::vector<float> values = row_of(weights, row, spec);
    for (int64_t first = 0; first < spec.cols; first += reach.group_size) {
      const size_t begin = static_cast<size_t>(first);
      const size_t count = static_cast<size_t>(std::min(reach.group_size, spec.cols - first));
      const auto part = std::span(values).subspan(begin, count);
      if (!one_scale) scales.push_back(magnitude_of(part));
      if (find_codes(part, scales.back(), std::span(codes).subspan(begin, count))) continue;
      fail(ErrorCode::kBadInput,
           "{}: tensor '{}' is not ternary in row {}, as \"{}\" in config.json says; remove that "
           "field to run the model as a dense one",
           origin, spec.hf_name, row, kGivenTernaryKey);
    }
    packing::pack_row(kLayout, codes, reach.group_size, {},
                      storage.bytes.back().data() + row * out.row_stride);
  }
  storage.floats.push_back(std::move(scales));
  out.scales = storage.floats.back();
  return out;
}

}  // namespace tercet
