// SPDX-License-Identifier: Apache-2.0
#include "model/linear.h"

#include <algorithm>
#include <array>
#include <functional>

#include "packing/own_codes.h"
#include "packing/row_codes.h"

namespace tercet {
namespace {

// Rows that one task computes for all tokens: few enough for their weights to stay in the first
// level cache from one token to the next, enough to make the call worth it.
constexpr int64_t kRowBlock = 32;

// Below this many multiplications waking other threads costs more than it saves.
constexpr int64_t kMinParallelWork = int64_t{1} << 16;

int64_t block_count(const LinearWeights& weights) {
  return (weights.rows + kRowBlock - 1) / kRowBlock;
}

struct RowRange {
  int64_t first = 0;
  int64_t count = 0;
};

// Types that a kernel multiplies as they lie.
bool has_float_kernel(StoredType type) { return is_float(type) || type == StoredType::kQ8_0; }

void float_rows(const LinearWeights& w, RowRange rows, const float* x, const KernelTable& kernels,
                float* out) {
  const uint8_t* data = w.data.data() + rows.first * w.row_stride;
  switch (w.type) {
    case StoredType::kF32:
      return kernels.dot_f32(data, rows.count, w.cols, x, out);
    case StoredType::kF16:
      return kernels.dot_f16(data, rows.count, w.cols, x, out);
    case StoredType::kBF16:
      return kernels.dot_bf16(data, rows.count, w.cols, x, out);
    default:
      return kernels.dot_q8_0(data, rows.count, w.cols, x, out);
  }
}

// Rows of any other type: some columns of a row are decoded, multiplied with every token and
// forgotten. out: that of the first row, w.rows apart from token to token.
void decoded_rows(const LinearWeights& w, RowRange rows, const float* x, int64_t tokens,
                  const KernelTable& kernels, float* out) {
  std::array<float, kDecodeColumns> columns;
  for (int64_t i = 0; i < rows.count; ++i) {
    for (int64_t first = 0; first < w.cols; first += kDecodeColumns) {
      const int64_t count = std::min(kDecodeColumns, w.cols - first);
      decode_columns(w, rows.first + i, first,
                     std::span(columns).first(static_cast<size_t>(count)));
      for (int64_t t = 0; t < tokens; ++t) {
        float product = 0;
        kernels.dot_f32(columns.data(), 1, count, x + t * w.cols + first, &product);
        float& sum = out[t * w.rows + i];
        sum = first == 0 ? product : sum + product;
      }
    }
  }
}

// Integer products of whole rows with one quantized vector.
void ternary_rows(const LinearWeights& w, RowRange rows, const int8_t* q,
                  const KernelTable& kernels, int32_t* out) {
  const uint8_t* data = w.data.data() + rows.first * w.row_stride;
  switch (w.type) {
    case StoredType::kTrit4:
      return kernels.trit4_dot_i32(data, w.row_stride, rows.count, w.cols, q, out);
    case StoredType::kTrit5:
      return kernels.trit5_dot_i32(data, w.row_stride, rows.count, w.cols, q, out);
    case StoredType::kTq1_0:
      return kernels.tq1_0_dot_i32(data, rows.count, w.cols, q, out);
    case StoredType::kI2S:
      return kernels.i2_s_dot_i32(data, rows.count, w.cols, q, out);
    case StoredType::kI2S64:
      return kernels.i2_s64_dot_i32(data, rows.count, w.cols, q, out);
    default:
      return kernels.tq2_0_dot_i32(data, rows.count, w.cols, q, out);
  }
}

void scaled_rows(const LinearWeights& w, RowRange rows, const int8_t* q, float activation_scale,
                 const KernelTable& kernels, float* out) {
  std::array<int32_t, kRowBlock> products;
  ternary_rows(w, rows, q, kernels, products.data());
  const bool per_row = w.scope == packing::ScaleScope::kRow;
  for (int64_t i = 0; i < rows.count; ++i) {
    const float weight_scale = w.scales[static_cast<size_t>(per_row ? rows.first + i : 0)];
    out[i] =
        static_cast<float>(products[static_cast<size_t>(i)]) * (weight_scale / activation_scale);
  }
}

// Integer products of the columns of one group; `data` is where the group starts in the first row.
void group_products(const LinearWeights& w, int64_t rows, const uint8_t* data, int64_t columns,
                    const int8_t* q, const KernelTable& kernels, int32_t* out) {
  if (w.type == StoredType::kTrit4) {
    return kernels.trit4_dot_i32(data, w.row_stride, rows, columns, q, out);
  }
  if (w.type == StoredType::kTrit5) {
    return kernels.trit5_dot_i32(data, w.row_stride, rows, columns, q, out);
  }
  // The block kernels take consecutive rows only, so one block at a time.
  const auto dot = w.type == StoredType::kTq1_0 ? kernels.tq1_0_dot_i32 : kernels.tq2_0_dot_i32;
  for (int64_t i = 0; i < rows; ++i) dot(data + i * w.row_stride, 1, columns, q, out + i);
}

void grouped_rows(const LinearWeights& w, RowRange rows, const int8_t* q, float activation_scale,
                  const KernelTable& kernels, float* out) {
  const int64_t groups = (w.cols + w.group_size - 1) / w.group_size;
  const int64_t group_bytes =
      is_own(w.type) ? packing::row_bytes(layout_of(w.type), w.group_size, w.group_size)
                     : packing::block_bytes(layout_of(w.type));
  const uint8_t* data = w.data.data() + rows.first * w.row_stride;
  std::array<int32_t, kRowBlock> products;
  std::array<float, kRowBlock> sums{};
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first_column = g * w.group_size;
    const int64_t columns = std::min(w.group_size, w.cols - first_column);
    group_products(w, rows.count, data + g * group_bytes, columns, q + first_column, kernels,
                   products.data());
    for (int64_t i = 0; i < rows.count; ++i) {
      const size_t at = static_cast<size_t>(i);
      sums[at] += static_cast<float>(products[at]) *
                  w.scales[static_cast<size_t>((rows.first + i) * groups + g)];
    }
  }
  for (int64_t i = 0; i < rows.count; ++i) out[i] = sums[static_cast<size_t>(i)] / activation_scale;
}

// One block of rows for every token: the weights are read once, the tokens change.
void run_block(const LinearJob& job, int64_t block, int64_t tokens, const KernelTable& kernels) {
  const LinearWeights& w = *job.weights;
  const int64_t first = block * kRowBlock;
  const RowRange rows{first, std::min(kRowBlock, w.rows - first)};
  if (!w.int8_activations && !has_float_kernel(w.type)) {
    decoded_rows(w, rows, job.input.x, tokens, kernels, job.out + first);
  }
  for (int64_t t = 0; t < tokens; ++t) {
    float* out = job.out + t * w.rows + first;
    if (!w.int8_activations) {
      if (has_float_kernel(w.type)) float_rows(w, rows, job.input.x + t * w.cols, kernels, out);
    } else if (w.scope == packing::ScaleScope::kGroup) {
      grouped_rows(w, rows, job.input.q + t * w.cols, job.input.scale[t], kernels, out);
    } else {
      scaled_rows(w, rows, job.input.q + t * w.cols, job.input.scale[t], kernels, out);
    }
    if (w.bias.empty()) continue;
    for (int64_t i = 0; i < rows.count; ++i) out[i] += w.bias[static_cast<size_t>(first + i)];
  }
}

}  // namespace

void run_linear(std::span<const LinearJob> jobs, int64_t tokens, const KernelTable& kernels,
                ThreadPool& pool) {
  int64_t blocks = 0;
  int64_t work = 0;
  for (const LinearJob& job : jobs) {
    blocks += block_count(*job.weights);
    work += job.weights->rows * job.weights->cols * tokens;
  }
  // Blocks are numbered through all jobs, so that one wait for the pool serves them together.
  const auto body = [&](int64_t begin, int64_t end) {
    int64_t offset = 0;
    for (const LinearJob& job : jobs) {
      const int64_t count = block_count(*job.weights);
      const int64_t first = std::max(begin - offset, int64_t{0});
      const int64_t last = std::min(end - offset, count);
      for (int64_t block = first; block < last; ++block) run_block(job, block, tokens, kernels);
      offset += count;
    }
  };
  if (work < kMinParallelWork) return body(0, blocks);
  pool.parallel_for(blocks, 1, std::ref(body));
}

}  // namespace tercet
