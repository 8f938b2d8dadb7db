// SPDX-License-Identifier: Apache-2.0
#include "model/hf_ternary.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "packing/absmean.h"
#include "packing/row_codes.h"

namespace tercet {
namespace {

constexpr packing::Layout kLayout = packing::Layout::kTrit4;
constexpr int64_t kFloatsAtOnce = int64_t{1} << 18;
constexpr int64_t kRowsPerByte = 4;

// An empty trit4 matrix in `storage` with one scale, or one for each group of columns.
LinearWeights make_target(const TensorView& tensor, const TensorSpec& spec,
                          std::span<const float> scales, WeightStorage& storage) {
  const int64_t groups = std::ssize(scales);
  LinearWeights out;
  out.name = tensor.name;
  out.type = stored_type(kLayout);
  out.int8_activations = true;
  out.rows = spec.rows;
  out.cols = spec.cols;
  out.scope = groups > 1 ? packing::ScaleScope::kGroup : packing::ScaleScope::kTensor;
  out.group_size = spec.cols / groups;
  out.row_stride = packing::stored_row_bytes(kLayout, spec.cols, out.group_size);
  std::vector<float>& all = storage.floats.emplace_back();
  for (int64_t row = 0; row < (groups > 1 ? spec.rows : 1); ++row) {
    all.insert(all.end(), scales.begin(), scales.end());
  }
  storage.bytes.emplace_back(static_cast<size_t>(out.rows * out.row_stride));
  out.data = storage.bytes.back();
  out.scales = all;
  // As a file would hold it: header, codes, scales, each padded.
  out.stored_bytes =
      packing::own_parts(kLayout, spec.rows, spec.cols, out.scope, out.group_size).total();
  return out;
}

void put_row(const LinearWeights& target, int64_t row, std::span<const int8_t> codes,
             WeightStorage& storage) {
  packing::pack_row(kLayout, codes, target.group_size, {},
                    storage.bytes.back().data() + row * target.row_stride);
}

// Calls visit(first row, values) for a few rows of floats at a time.
template <class Visit>
void for_float_rows(const TensorView& tensor, const TensorSpec& spec, Visit visit) {
  const int64_t step = std::max<int64_t>(1, kFloatsAtOnce / spec.cols);
  const size_t row_size = tensor.bytes.size() / static_cast<size_t>(spec.rows);
  for (int64_t row = 0; row < spec.rows; row += step) {
    const int64_t count = std::min(step, spec.rows - row);
    const TensorView part{tensor.name,
                          tensor.type,
                          {count, spec.cols},
                          tensor.bytes.subspan(static_cast<size_t>(row) * row_size,
                                               static_cast<size_t>(count) * row_size)};
    visit(row, to_f32(part));
  }
}

[[noreturn]] void fail_not_finite(const TensorSpec& spec, const std::string& origin) {
  fail(ErrorCode::kBadInput,
       "{}: tensor '{}' holds a weight that is not a finite number; the training run diverged or "
       "the file is damaged",
       origin, spec.hf_name);
}

float read_scale(const TensorView& scale, bool reciprocal, const std::string& origin) {
  if (scale.elements() != 1) {
    fail(ErrorCode::kBadInput, "{}: tensor '{}' must be one scale, it has {}", origin, scale.name,
         scale.elements());
  }
  const float stored = to_f32(scale).at(0);
  const float value = reciprocal ? 1.0f / stored : stored;
  if (!std::isfinite(stored) || !std::isfinite(value)) {
    fail(ErrorCode::kBadInput, "{}: the scale {} in tensor '{}' is none", origin, stored,
         scale.name);
  }
  return value;
}

}  // namespace

LinearWeights quantize_latent(const TensorView& latent, const TensorSpec& spec, LinearKind kind,
                              int64_t groups, const std::string& origin, WeightStorage& storage) {
  const bool binary = kind == LinearKind::kB1;
  const size_t width = static_cast<size_t>(spec.cols / groups);
  std::vector<packing::AbsmeanSum> magnitudes(static_cast<size_t>(groups));
  std::vector<packing::MeanSum> sums(magnitudes.size());
  // Calls visit(group, first element, its values) for every group of every row.
  const auto for_groups = [&](const std::vector<float>& values, const auto& visit) {
    for (size_t at = 0; at < values.size(); at += width) {
      visit(at / width % magnitudes.size(), at, std::span(values).subspan(at, width));
    }
  };
  for_float_rows(latent, spec, [&](int64_t, const std::vector<float>& values) {
    for_groups(values, [&](size_t group, size_t, std::span<const float> part) {
      magnitudes[group].add(part);
      if (binary) sums[group].add(part);
    });
  });
  std::vector<float> scales;
  for (const packing::AbsmeanSum& sum : magnitudes) scales.push_back(sum.scale());
  for (const float scale : scales) {
    if (!std::isfinite(scale)) fail_not_finite(spec, origin);
  }
  LinearWeights out = make_target(latent, spec, scales, storage);
  const size_t cols = static_cast<size_t>(spec.cols);
  for_float_rows(latent, spec, [&](int64_t first, const std::vector<float>& values) {
    std::vector<int8_t> codes(values.size());
    for_groups(values, [&](size_t group, size_t at, std::span<const float> part) {
      const auto to = std::span(codes).subspan(at, width);
      if (binary) return packing::centred_sign_codes(part, sums[group].mean(), to);
      packing::absmean_codes(part, scales[group], to);
    });
    for (size_t at = 0; at < codes.size(); at += cols) {
      put_row(out, first + static_cast<int64_t>(at / cols), std::span(codes).subspan(at, cols),
              storage);
    }
  });
  return out;
}

LinearWeights unpack_four_rows(const TensorView& packed, const TensorView& scale, bool reciprocal,
                               const TensorSpec& spec, const std::string& origin,
                               WeightStorage& storage) {
  const int64_t quarter = spec.rows / kRowsPerByte;
  const std::vector<int64_t> wanted = {quarter, spec.cols};
  if (packed.type != DType::kU8 || spec.rows % kRowsPerByte != 0 || packed.shape != wanted) {
    fail(ErrorCode::kBadInput,
         "{}: tensor '{}' is {} of shape [{}]; {} rows packed four to a byte are u8 [{}]", origin,
         packed.name, to_string(packed.type), fmt::join(packed.shape, ", "), spec.rows,
         fmt::join(wanted, ", "));
  }
  if (!packing::pairs_are_codes(packed.bytes)) {
    fail(ErrorCode::kBadInput, "{}: tensor '{}' holds a byte that stands for no ternary codes",
         origin, packed.name);
  }
  LinearWeights out =
      make_target(packed, spec, std::array{read_scale(scale, reciprocal, origin)}, storage);
  out.stored_bytes = packed.bytes.size() + scale.bytes.size();
  std::vector<int8_t> codes(static_cast<size_t>(spec.cols));
  for (int64_t row = 0; row < spec.rows; ++row) {
    const uint8_t* bytes = packed.bytes.data() + row % quarter * spec.cols;
    const int shift = static_cast<int>(2 * (row / quarter));
    for (size_t c = 0; c < codes.size(); ++c) {
      codes[c] = static_cast<int8_t>(((bytes[c] >> shift) & 3) - 1);
    }
    put_row(out, row, codes, storage);
  }
  return out;
}

LinearWeights pack_float_codes(const TensorView& codes, const TensorView& scale, bool reciprocal,
                               const TensorSpec& spec, const std::string& origin,
                               WeightStorage& storage) {
  LinearWeights out =
      make_target(codes, spec, std::array{read_scale(scale, reciprocal, origin)}, storage);
  std::vector<int8_t> row(static_cast<size_t>(spec.cols));
  for_float_rows(codes, spec, [&](int64_t first, const std::vector<float>& values) {
    for (size_t at = 0; at < values.size(); ++at) {
      const float value = values[at];
      if (value != -1.0f && value != 0.0f && value != 1.0f) {
        fail(ErrorCode::kUnsupported,
             "{}: tensor '{}' holds {}; beside a weight_scale, weights must be packed or -1, 0 and "
             "1",
             origin, codes.name, value);
      }
      row[at % row.size()] = static_cast<int8_t>(value);
      if ((at + 1) % row.size() == 0) {
        put_row(out, first + static_cast<int64_t>(at / row.size()), row, storage);
      }
    }
  });
  return out;
}

std::string packed_scale_name(const std::string& hf_name) { return hf_name + "_scale"; }

std::string weight_of_bias(const std::string& hf_name) {
  constexpr std::string_view kSuffix = ".bias";
  if (!hf_name.ends_with(kSuffix)) return {};
  return hf_name.substr(0, hf_name.size() - kSuffix.size()) + ".weight";
}

}  // namespace tercet
