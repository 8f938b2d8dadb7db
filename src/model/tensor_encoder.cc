// SPDX-License-Identifier: Apache-2.0
#include "model/tensor_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/half.h"
#include "model/linear.h"
#include "model/ternary_rows.h"
#include "packing/row_codes.h"

namespace tercet {
namespace {

using packing::ScaleScope;

constexpr int64_t kFloatsAtOnce = int64_t{1} << 18;

// Row r of the target is row order[r] of the source; the same row where nothing moves.
int64_t source_row(const std::vector<int64_t>& order, int64_t row) {
  return order.empty() ? row : order[static_cast<size_t>(row)];
}

void put_zeros(uint64_t count, const ByteSink& sink) {
  static constexpr std::array<uint8_t, 64> kZeros = {};
  sink(std::span(kZeros).first(count));
}

// Bytes of the same type move as they are, so that even q8_0 made elsewhere stays what it was.
void copy_rows(const LinearWeights& source, const std::vector<int64_t>& order,
               const ByteSink& sink) {
  if (order.empty()) return sink(source.data);
  for (const int64_t row : order) {
    sink(source.data.subspan(static_cast<size_t>(row * source.row_stride),
                             static_cast<size_t>(source.row_stride)));
  }
}

std::vector<uint8_t> encoded(const std::vector<float>& values, StoredType type, int64_t cols,
                             const std::string& origin) {
  if (type != StoredType::kQ6_K) return from_f32(values, file_dtype(type), cols, origin);
  const uint64_t bytes = tensor_bytes(DType::kQ6_K, values.size() / static_cast<uint64_t>(cols),
                                      static_cast<uint64_t>(cols), origin);
  std::vector<uint8_t> out(bytes);
  if (!packing::encode_q6_k(values.data(), std::ssize(values), out.data())) {
    fail(ErrorCode::kBadInput, "{}: a weight is not finite or too large for q6_k; use bf16 or f32",
         origin);
  }
  return out;
}

void encode_floats(const LinearWeights& source, const PlannedTensor& plan, const ByteSink& sink) {
  const std::vector<int64_t> order = row_order(plan);
  if (source.type == plan.type) return copy_rows(source, order, sink);
  const int64_t step = std::max<int64_t>(1, kFloatsAtOnce / source.cols);
  std::vector<float> values;
  for (int64_t first = 0; first < source.rows; first += step) {
    const int64_t count = std::min(step, source.rows - first);
    values.resize(static_cast<size_t>(count * source.cols));
    for (int64_t i = 0; i < count; ++i) {
      decode_row(source, source_row(order, first + i), values.data() + i * source.cols);
    }
    sink(encoded(values, plan.type, source.cols,
                 fmt::format("{}, from row {} on", plan.spec.gguf_name, first)));
  }
}

// Ternary codes and scales in another ternary layout.
class TernaryEncoder {
 public:
  TernaryEncoder(const LinearWeights& source, const PlannedTensor& plan)
      : rows_(source),
        plan_(plan),
        layout_(layout_of(plan.type)),
        group_(is_own(plan.type) ? plan.reach.group_size : source.cols),
        order_(row_order(plan)),
        codes_(static_cast<size_t>(source.cols)),
        scales_(static_cast<size_t>(rows_.scales_per_row())),
        bytes_(static_cast<size_t>(packing::stored_row_bytes(layout_, source.cols, group_))) {
    if (packing::has_block_scales(layout_)) {
      block_scales_.resize(static_cast<size_t>(source.cols / packing::block_codes(layout_)));
    }
  }

  double run(const ByteSink& sink) {
    if (!is_own(plan_.type)) {
      put_codes(sink);
      if (plan_.type == StoredType::kI2S) put_tail(sink);
      return largest_rounding_;
    }
    const packing::OwnParts parts = packing::own_parts(layout_, rows_.rows(), rows_.cols(),
                                                       plan_.reach.scope, group_, plan_.scale_type);
    sink(parts.header);
    put_codes(sink);
    put_zeros(parts.codes_padding, sink);
    put_scales(sink);
    put_zeros(parts.scales_padding, sink);
    return 0;
  }

 private:
  void put_codes(const ByteSink& sink) {
    for (int64_t row = 0; row < rows_.rows(); ++row) {
      const int64_t from = source_row(order_, row);
      rows_.codes(from, codes_);
      if (!block_scales_.empty()) find_block_scales(from);
      if (!packing::pack_row(layout_, codes_, group_, block_scales_, bytes_.data())) {
        fail(ErrorCode::kUsage,
             "'{}' has zeros (the first in row {}), {} holds +1 and -1 only; use --type trit5",
             plan_.spec.gguf_name, row, to_string(plan_.type));
      }
      sink(bytes_);
    }
  }

  // The scale of each block of the target, which all of its columns must share.
  void find_block_scales(int64_t row) {
    if (plan_.scale_tensor) {
      std::fill(block_scales_.begin(), block_scales_.end(), f32_to_f16(1.0f));
      return;
    }
    rows_.scales(row, scales_);
    const int64_t block = packing::block_codes(layout_);
    const int64_t group = rows_.reach().group_size;
    for (size_t b = 0; b < block_scales_.size(); ++b) {
      const int64_t first = static_cast<int64_t>(b) * block;
      const float scale = scales_[static_cast<size_t>(first / group)];
      for (int64_t g = first / group; g <= (first + block - 1) / group; ++g) {
        if (scales_[static_cast<size_t>(g)] != scale) fail_differing(row, first, block);
      }
      block_scales_[b] = to_f16(scale, row);
    }
  }

  [[noreturn]] void fail_differing(int64_t row, int64_t first, int64_t block) const {
    fail(ErrorCode::kUsage,
         "{} has one scale for {} columns, '{}' has one per {}, and those of row {} from column {} "
         "on differ; use --type trit5",
         to_string(plan_.type), block, plan_.spec.gguf_name, rows_.reach().group_size, row, first);
  }

  uint16_t to_f16(float scale, int64_t row) {
    const uint16_t bits = f32_to_f16(scale);
    const float rounded = f16_to_f32(bits);
    if (rounded == scale) return bits;
    const double error = std::abs(static_cast<double>(rounded) - static_cast<double>(scale)) /
                         std::abs(static_cast<double>(scale));
    if (!plan_.allow_rounding || !(error < 1.0)) {
      fail(ErrorCode::kUsage,
           "the scale {} of '{}', row {}, is no f16, which is what {} keeps; use --type trit5, or "
           "--allow-rounding to change it by {:.1e}",
           scale, plan_.spec.gguf_name, row, to_string(plan_.type), error);
    }
    largest_rounding_ = std::max(largest_rounding_, error);
    return bits;
  }

  // i2_s: the scale and zeros.
  void put_tail(const ByteSink& sink) {
    std::array<uint8_t, 32> tail = {};
    rows_.scales(0, scales_);
    std::memcpy(tail.data(), scales_.data(), sizeof(float));
    sink(tail);
  }

  void put_scales(const ByteSink& sink) {
    const bool single = plan_.reach.scope == ScaleScope::kTensor;
    for (int64_t row = 0; row < (single ? 1 : rows_.rows()); ++row) {
      rows_.scales(source_row(order_, row), scales_);
      const size_t count = single ? 1 : scales_.size();
      sink(packing::stored_scales(std::span(scales_).first(count), plan_.scale_type));
    }
  }

  TernaryRows rows_;
  const PlannedTensor& plan_;
  packing::Layout layout_;
  int64_t group_;  // columns per scale of the target where its layout depends on it
  std::vector<int64_t> order_;
  std::vector<int8_t> codes_;           // of a row
  std::vector<float> scales_;           // of a row of the source
  std::vector<uint16_t> block_scales_;  // f16, of a row of the target
  std::vector<uint8_t> bytes_;          // of a row of the target
  double largest_rounding_ = 0;
};

}  // namespace

uint64_t encoded_bytes(const PlannedTensor& plan) {
  const TensorSpec& spec = plan.spec;
  if (is_own(plan.type)) {
    return packing::own_parts(layout_of(plan.type), spec.rows, spec.cols, plan.reach.scope,
                              plan.reach.group_size, plan.scale_type)
        .total();
  }
  const int64_t rows = std::max<int64_t>(spec.rows, 1);
  return tensor_bytes(file_dtype(plan.type), static_cast<uint64_t>(rows),
                      static_cast<uint64_t>(spec.cols), spec.gguf_name);
}

double encode_matrix(const LinearWeights& source, const PlannedTensor& plan, const ByteSink& sink) {
  if (is_ternary(plan.type)) return TernaryEncoder(source, plan).run(sink);
  encode_floats(source, plan, sink);
  return 0;
}

std::vector<float> encode_vector(std::vector<float> source, const PlannedTensor& plan) {
  const std::vector<int64_t> order = row_order(plan);
  if (order.empty()) return source;
  std::vector<float> out;
  out.reserve(source.size());
  for (const int64_t from : order) out.push_back(source[static_cast<size_t>(from)]);
  return out;
}

float single_scale(const LinearWeights& source) {
  const TernaryRows rows(source);
  std::vector<float> scales(static_cast<size_t>(rows.scales_per_row()));
  rows.scales(0, scales);
  return scales.front();
}

void pack_four_rows(const LinearWeights& source, const PlannedTensor& plan, const ByteSink& sink) {
  const TernaryRows rows(source);
  const std::vector<int64_t> order = row_order(plan);
  const int64_t quarter = source.rows / 4;
  std::vector<int8_t> codes(static_cast<size_t>(source.cols));
  std::vector<uint8_t> bytes(codes.size());
  for (int64_t row = 0; row < quarter; ++row) {
    std::fill(bytes.begin(), bytes.end(), uint8_t{0});
    for (int place = 0; place < 4; ++place) {
      rows.codes(source_row(order, row + place * quarter), codes);
      for (size_t c = 0; c < codes.size(); ++c) {
        bytes[c] = static_cast<uint8_t>(bytes[c] | (codes[c] + 1) << (2 * place));
      }
    }
    sink(bytes);
  }
}

}  // namespace tercet
