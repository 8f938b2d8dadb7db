// SPDX-License-Identifier: Apache-2.0
#include "model/tensor_weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "model/ternary_blocks.h"

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

}  // namespace

LinearWeights dense_weights(const TensorView& tensor, const TensorSpec& spec,
                            const std::string& origin) {
  check_shape(tensor, spec, origin);
  const std::optional<StoredType> type = stored_type(tensor.type);
  if (!type || is_ternary(*type)) {
    fail(ErrorCode::kUnsupported, "{}: tensor '{}' is {}; f32, f16, bf16 or q8_0 is needed here",
         origin, tensor.name, to_string(tensor.type));
  }
  return matrix_in_place(tensor, *type, spec);
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
                          const TensorSpec& spec, const std::string& origin) {
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
  return out;
}

LinearWeights block_weights(const TensorView& tensor, const TensorView* sidecar,
                            const TensorSpec& spec, const std::string& origin,
                            WeightStorage& storage) {
  check_shape(tensor, spec, origin);
  const std::optional<StoredType> type = stored_type(tensor.type);
  if (!type || !is_ternary(*type)) {
    fail(ErrorCode::kUnsupported, "{}: tensor '{}' is {}; ternary weights are needed here", origin,
         tensor.name, to_string(tensor.type));
  }
  LinearWeights out = matrix_in_place(tensor, *type, spec);
  const std::string named = fmt::format("{}: tensor '{}'", origin, tensor.name);
  // The kernels take every byte for codes, so this is the only place where damage would show.
  if (*type == StoredType::kTq1_0) {
    packing::check_tq1_0(tensor.bytes, named);
  } else {
    packing::check_tq2_0(tensor.bytes, named);
  }
  std::vector<float> scales = ternary_block_scales(*type, tensor.bytes, named);
  const float factor = sidecar_scale(sidecar, origin);
  for (float& scale : scales) scale *= factor;
  if (scales.size() > 1) {
    out.scope = packing::ScaleScope::kGroup;
    out.group_size = kTernaryBlock;
  }
  if (sidecar != nullptr) out.stored_bytes += sidecar->bytes.size();
  storage.floats.push_back(std::move(scales));
  out.scales = storage.floats.back();
  return out;
}

}  // namespace tercet
