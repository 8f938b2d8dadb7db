// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/code_matrix.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/runtime_kernels.h"
#include "packing/absmean.h"
#include "packing/row_codes.h"
#include "packing/ternary.h"

namespace tercet::learn {
namespace {

// Bytes of panels that meet one tile of tokens after the other: they should stay in the second
// level cache meanwhile.
constexpr int64_t kCachedBytes = int64_t{1} << 18;
// Tiles that a thread arranges before it multiplies them.
constexpr int64_t kTilesAtOnce = 16;

packing::Layout layout_of(LinearKind kind) {
  return kind == LinearKind::kB1 ? packing::Layout::kSign8 : packing::Layout::kTrit4;
}

template <typename Value>
at::TensorOptions cpu() {
  return at::TensorOptions().dtype(c10::CppTypeToScalarType<Value>::value);
}

}  // namespace

float quantize_weight(const at::Tensor& weight, LinearKind kind, int8_t* codes) {
  const float* values = weight.data_ptr<float>();
  const std::span<const float> all(values, static_cast<size_t>(weight.numel()));
  const bool binary = kind == LinearKind::kB1;
  const float scale = packing::absmean_scale(all);
  const float centre = binary ? packing::mean_of(all) : 0;
  at::parallel_for(0, weight.numel(), 32768, [&](int64_t begin, int64_t end) {
    if (binary) {
      loops().binarize(values + begin, end - begin, centre, codes + begin);
    } else {
      loops().ternarize(values + begin, end - begin, 1.0f / scale, codes + begin);
    }
  });
  return scale;
}

CodeMatrix::CodeMatrix(const std::vector<at::Tensor>& weights, LinearKind kind,
                       at::ScalarType backward, bool with_backward)
    : cols_(weights.front().size(1)), source_(panel_source(layout_of(kind))) {
  for (const at::Tensor& weight : weights) rows_ += weight.size(0);
  shape_ = panel_shape(source_, rows_, cols_, cols_, runtime_kernels().panel_rows);
  scales_ = at::zeros({shape_.panels * runtime_kernels().panel_rows}, cpu<float>());
  const at::Tensor codes = at::empty({rows_, cols_}, cpu<int8_t>());
  int64_t row = 0;
  for (const at::Tensor& weight : weights) {
    const float scale =
        quantize_weight(weight.contiguous(), kind, codes.data_ptr<int8_t>() + row * cols_);
    scales_.narrow(0, row, weight.size(0)).fill_(scale);
    row += weight.size(0);
  }
  pack(layout_of(kind), codes);
  if (with_backward) numbers_ = numbers_of(codes, backward);
}

void CodeMatrix::pack(packing::Layout layout, const at::Tensor& codes) {
  panels_ = AlignedBuffer(static_cast<size_t>(shape_.bytes()));
  const int64_t stride = packing::stored_row_bytes(layout, cols_, cols_);
  const int64_t panel_rows = runtime_kernels().panel_rows;
  at::parallel_for(0, shape_.panels, 1, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> rows(static_cast<size_t>(panel_rows * stride));
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel * panel_rows;
      const int64_t count = std::min(panel_rows, rows_ - first);
      for (int64_t i = 0; i < count; ++i) {
        const int8_t* row = codes.data_ptr<int8_t>() + (first + i) * cols_;
        packing::pack_row(layout, {row, static_cast<size_t>(cols_)}, cols_, {},
                          rows.data() + i * stride);
      }
      pack_panels(source_, {rows, stride, count, cols_, cols_}, panel_rows, 0, 1,
                  panels_.data() + panel * shape_.panel_bytes);
    }
  });
}

void CodeMatrix::multiply(const at::Tensor& q, const at::Tensor& q_scale,
                          const at::Tensor& out) const {
  const int64_t tile = runtime_kernels().tiles.back();
  const int64_t tiles = (q.size(0) + tile - 1) / tile;
  at::parallel_for(0, tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kTilesAtOnce) {
      multiply_tiles(q, q_scale, out, first * tile,
                     std::min(std::min(first + kTilesAtOnce, end) * tile, q.size(0)));
    }
  });
}

void CodeMatrix::multiply_tiles(const at::Tensor& q, const at::Tensor& q_scale,
                                const at::Tensor& out, int64_t first, int64_t last) const {
  const int64_t widest = runtime_kernels().tiles.back();
  const int64_t places = shape_.row_units() * 4 * fields_of(source_.format);
  std::vector<int8_t> arranged(static_cast<size_t>(kTilesAtOnce * widest * places));
  std::vector<int32_t> sums(static_cast<size_t>(kTilesAtOnce * widest));
  std::vector<PanelCall> calls;
  for (int64_t token = first; token < last; token += widest) {
    PanelCall call;
    call.tokens = static_cast<int>(std::min(widest, last - token));
    call.tile.tile = *std::lower_bound(runtime_kernels().tiles.begin(),
                                       runtime_kernels().tiles.end(), call.tokens);
    int8_t* to = arranged.data() + (token - first) * places;
    int32_t* sum = sums.data() + (token - first);
    arrange_tile(source_, q.data_ptr<int8_t>() + token * cols_, call.tokens, cols_, cols_,
                 call.tile.tile, to, sum);
    call.tile.q = to;
    call.tile.sums = sum;
    call.tile.scales = q_scale.data_ptr<float>() + token;
    call.out = out.data_ptr<float>() + token * rows_;
    calls.push_back(call);
  }
  const int64_t step = std::max<int64_t>(kCachedBytes / shape_.panel_bytes, 1);
  for (int64_t panel = 0; panel < shape_.panels; panel += step) {
    for (PanelCall call : calls) {
      multiply_panels(call, panel, std::min(step, shape_.panels - panel));
    }
  }
}

void CodeMatrix::multiply_panels(PanelCall& call, int64_t first, int64_t count) const {
  const int64_t first_row = first * runtime_kernels().panel_rows;
  call.panels = panels_.data() + first * shape_.panel_bytes;
  call.panel_count = count;
  call.units = shape_.units;
  call.last_units = shape_.last_units;
  call.gain = source_.gain;
  call.offset = source_.offset;
  call.scope = packing::ScaleScope::kRow;
  call.w_scales = scales_.data_ptr<float>() + first_row;
  call.rows = std::min(count * runtime_kernels().panel_rows, rows_ - first_row);
  call.out += first_row;
  call.out_stride = rows_;
  runtime_kernels().panel_dot[static_cast<size_t>(source_.format)](call);
}

at::Tensor numbers_of(const at::Tensor& codes, at::ScalarType type) {
  const at::Tensor numbers = at::empty(codes.sizes(), codes.options().dtype(type));
  with_storage(type, [&]<typename Store>() {
    at::parallel_for(0, codes.numel(), 65536, [&](int64_t begin, int64_t end) {
      loops().typed<Store>().numbers(codes.data_ptr<int8_t>() + begin, end - begin,
                                     storage<Store>(numbers) + begin);
    });
  });
  return numbers;
}

c10::intrusive_ptr<CodeMatrix> CodeCache::of(const std::vector<at::Tensor>& weights,
                                             LinearKind kind, at::ScalarType compute,
                                             bool with_backward) {
  std::vector<uint32_t> versions;
  for (const at::Tensor& weight : weights) {
    versions.push_back(static_cast<uint32_t>(weight._version()));
  }
  Entry& entry = entries_[weights.front().unsafeGetTensorImpl()];
  const bool usable = entry.codes && entry.versions == versions &&
                      (!with_backward || (entry.codes->numbers().defined() &&
                                          entry.codes->numbers().scalar_type() == compute));
  if (!usable) {
    // The old one goes first: two at a time would be the largest use of memory.
    entry.codes.reset();
    entry.codes = c10::make_intrusive<CodeMatrix>(weights, kind, compute, with_backward);
    entry.versions = std::move(versions);
  }
  return entry.codes;
}

}  // namespace tercet::learn
