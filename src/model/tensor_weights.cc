// SPDX-License-Identifier: Apache-2.0
#include "model/tensor_weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "model/ternary_blocks.h"
#include "model/ternary_rows.h"
#include "packing/row_codes.h"

namespace tercet {
namespace {

void check_shape(const TensorView& tensor, const TensorSpec& spec, const std::string& origin) {
  const std::vector<int64_t> wanted =
      spec.rows == 0 ? std::vector<int64_t>{spec.cols} : std::vector<int64_t>{spec.rows, spec.cols};
  if (tensor.shape == wanted) return;
  fail(ErrorCode::kBadInput, "{}: tensor '{}' has shape [{}], the configuration says [{}]", origin,
       tensor.name, fmt::join(tensor.shape, ", "), fmt::join(wanted, ", "));
}

// Everything about a matrix but its scales.
LinearWeights matrix_in_place(const TensorView& tensor, StoredType type, const TensorSpec& spec) {
  LinearWeights out;
  out.name = tensor.name;
  out.type = type;
  out.rows = spec.rows;
  out.cols = spec.cols;
  out.data = tensor.bytes;
  out.row_stride =
      static_cast<int64_t>(row_bytes(tensor.type, static_cast<uint64_t>(spec.cols), tensor.name));
  out.stored_bytes = tensor.bytes.size();
  out.group_size = spec.cols;
  return out;
}

float sidecar_scale(const TensorView* sidecar, const std::string& origin) {
  if (sidecar == nullptr) return 1.0f;
  if (sidecar->type != DType::kF32 || sidecar->elements() != 1) {
    fail(ErrorCode::kBadInput, "{}: tensor '{}' must be one f32 scale", origin, sidecar->name);
  }
  const float scale = to_f32(*sidecar).at(0);
  if (!std::isfinite(scale)) {
    fail(ErrorCode::kBadInput, "{}: the scale in tensor '{}' is not a finite number", origin,
         sidecar->name);
  }
  return scale;
}

// The kernels take every byte for codes, so this is the only place where damage would show.
void check_codes(const LinearWeights& weights, const std::string& named) {
  if (weights.type == StoredType::kTq1_0) {
    packing::check_tq1_0(weights.data, named);
  } else {
    packing::check_tq2_0(weights.data, named);
  }
}

// The blocks' f16 scales times the one of the whole matrix.
void add_block_scales(LinearWeights& out, const TensorView* sidecar, const std::string& named,
                      const std::string& origin, WeightStorage& storage) {
  check_codes(out, named);
  std::vector<float> scales = ternary_block_scales(out.type, out.data, named);
  const float factor = sidecar_scale(sidecar, origin);
  for (float& scale : scales) scale *= factor;
  if (scales.size() > 1) {
    out.scope = packing::ScaleScope::kGroup;
    out.group_size = kTernaryBlock;
  }
  if (sidecar != nullptr) out.stored_bytes += sidecar->bytes.size();
  storage.floats.push_back(std::move(scales));
  out.scales = storage.floats.back();
}

// The codes of i2_s are followed by a tail that begins with the scale.
void add_i2_s_scale(LinearWeights& out, const TensorView& tensor, I2SOrder order,
                    const std::string& named, WeightStorage& storage) {
  if (order == I2SOrder::kNarrow) out.type = StoredType::kI2S64;
  const int64_t block = packing::block_codes(layout_of(out.type));
  if (out.cols % block != 0) {
    fail(ErrorCode::kUnsupported,
         "{}: i2_s blocks of {} do not divide rows of {}; files from ARM builds have blocks of 64, "
         "which --i2s-block 64 chooses",
         named, block, out.cols);
  }
  const size_t codes = static_cast<size_t>(out.rows * out.row_stride);
  float scale = 0;
  std::memcpy(&scale, tensor.bytes.data() + codes, sizeof(scale));
  if (!std::isfinite(scale)) {
    fail(ErrorCode::kBadInput, "{}: the scale behind the codes is not a finite number", named);
  }
  out.data = tensor.bytes.first(codes);
  if (!packing::pairs_are_codes(out.data)) {
    fail(ErrorCode::kBadInput, "{} holds a byte that stands for no ternary codes", named);
  }
  storage.floats.push_back({scale});
  out.scales = storage.floats.back();
}

// The scales of q1_0 and q2_0, which lie in their blocks, and a check of their codes.
void add_inner_scales(LinearWeights& out, WeightStorage& storage) {
  const TernaryRows rows(out);
  const ScaleReach reach = effective_reach(rows);
  const bool is_one = reach.scope == packing::ScaleScope::kTensor;
  std::vector<float> all;
  std::vector<int8_t> codes(static_cast<size_t>(out.cols));
  std::vector<float> scales(static_cast<size_t>(rows.scales_per_row()));
  for (int64_t row = 0; row < out.rows; ++row) {
    rows.codes(row, codes);
    rows.scales(row, scales);
    if (!is_one || row == 0) {
      all.insert(all.end(), scales.begin(), is_one ? scales.begin() + 1 : scales.end());
    }
  }
  out.scope = reach.scope;
  out.group_size = reach.group_size;
  storage.floats.push_back(std::move(all));
  out.scales = storage.floats.back();
}

}  // namespace

LinearWeights matrix_weights(const TensorView& tensor, const MatrixParts& parts,
                             const TensorSpec& spec, const std::string& origin,
                             WeightStorage& storage) {
  check_shape(tensor, spec, origin);
  const std::optional<StoredType> type = stored_type(tensor.type);
  if (!type) {
    fail(ErrorCode::kUnsupported, "{}: tensor '{}' is {}, which no weight matrix can be", origin,
         tensor.name, to_string(tensor.type));
  }
  LinearWeights out = matrix_in_place(tensor, *type, spec);
  const std::string named = fmt::format("{}: tensor '{}'", origin, tensor.name);
  if (has_scale_tensor(*type)) add_block_scales(out, parts.scale, named, origin, storage);
  if (*type == StoredType::kI2S) add_i2_s_scale(out, tensor, parts.i2s_order, named, storage);
  if (!spec.low_bit || !is_ternary(*type)) return out;
  if (has_inner_scales(*type)) add_inner_scales(out, storage);
  out.int8_activations = true;
  return out;
}

std::vector<float> dense_vector(const TensorView& tensor, const TensorSpec& spec,
                                const std::string& origin) {
  check_shape(tensor, spec, origin);
  std::vector<float> values = to_f32(tensor);
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
    fail(ErrorCode::kBadInput, "{}: tensor '{}' holds a value that is not a finite number", origin,
         tensor.name);
  }
  return values;
}

LinearWeights own_weights(const std::string& name, std::span<const uint8_t> payload,
                          const TensorSpec& spec, const std::string& origin,
                          WeightStorage& storage) {
  const packing::OwnView view =
      packing::view_own(payload, fmt::format("{}: tensor '{}'", origin, name));
  if (view.rows != spec.rows || view.cols != spec.cols) {
    fail(ErrorCode::kBadInput,
         "{}: tensor '{}' has shape [{}, {}], the configuration says [{}, {}]", origin, name,
         view.rows, view.cols, spec.rows, spec.cols);
  }
  LinearWeights out;
  out.name = name;
  out.type = stored_type(view.layout);
  out.rows = view.rows;
  out.cols = view.cols;
  out.data = view.codes;
  out.row_stride = view.row_stride;
  out.stored_bytes = payload.size();
  out.scope = view.scope;
  out.group_size = view.group_size;
  out.scales = view.scales;
  out.half_scales = !view.half_scales.empty();
  if (out.half_scales) {
    storage.floats.push_back(packing::scales_of(view));
    out.scales = storage.floats.back();
  }
  out.int8_activations = spec.low_bit;
  return out;
}

}  // namespace tercet
