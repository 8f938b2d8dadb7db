// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/gptq.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

namespace tercet::learn {
namespace {

constexpr int64_t kBlock = 128;

// One row of one block. upper: [count, count] of the block; weight is used up, error gets what
// each column leaves behind, divided by its diagonal element.
void round_row(const float* upper, const float* scale, int64_t count, float* weight, float* codes,
               float* error) {
  for (int64_t j = 0; j < count; ++j) {
    const float threshold = 0.5f * scale[j];
    const float code = weight[j] > threshold ? 1.0f : (weight[j] < -threshold ? -1.0f : 0.0f);
    codes[j] = code;
    error[j] = (weight[j] - code * scale[j]) / upper[j * count + j];
    for (int64_t k = j + 1; k < count; ++k) weight[k] -= error[j] * upper[j * count + k];
  }
}

}  // namespace

LowBitMatrix gptq(const LayerTarget& target, const LowBitMatrix& start) {
  const at::Tensor order = target.h.diagonal().argsort(0, /*descending=*/true);
  const at::Tensor h = target.h.index_select(0, order).index_select(1, order);
  const at::Tensor inverse = at::cholesky_inverse(cholesky_factor(h, target.name));
  const at::Tensor upper =
      cholesky_factor(inverse, target.name, /*upper=*/true).to(at::kFloat).contiguous();
  const at::Tensor weight = target.weight.index_select(1, order).contiguous();
  const at::Tensor scales =
      at_columns(start.scales, start.column_group).index_select(1, order).contiguous();
  const at::Tensor codes = at::empty_like(weight);
  const int64_t rows = weight.size(0);
  const int64_t cols = weight.size(1);
  for (int64_t first = 0; first < cols; first += kBlock) {
    const int64_t count = std::min(kBlock, cols - first);
    const at::Tensor block_upper =
        upper.narrow(0, first, count).narrow(1, first, count).contiguous();
    const at::Tensor block = weight.narrow(1, first, count).contiguous();
    const at::Tensor block_scales = scales.narrow(1, first, count).contiguous();
    const at::Tensor block_codes = at::empty_like(block);
    const at::Tensor error = at::empty_like(block);
    at::parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t offset = row * count;
        round_row(block_upper.data_ptr<float>(), block_scales.data_ptr<float>() + offset, count,
                  block.data_ptr<float>() + offset, block_codes.data_ptr<float>() + offset,
                  error.data_ptr<float>() + offset);
      }
    });
    codes.narrow(1, first, count).copy_(block_codes);
    const int64_t rest = cols - first - count;
    if (rest == 0) break;
    weight.narrow(1, first + count, rest)
        .sub_(at::matmul(error, upper.narrow(0, first, count).narrow(1, first + count, rest)));
  }
  LowBitMatrix out = start;
  out.codes = codes.index_select(1, order.argsort()).contiguous();
  return out;
}

}  // namespace tercet::learn
