// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/version.h>

#include "learn/nn/device_ops.h"
#include "learn/nn/reference_ops.h"

namespace tercet::learn::device {

#if TORCH_VERSION_MAJOR >= 2
at::Tensor attention(const at::Tensor& projections, const RotaryTable& rotary,
                     const AttentionShape& shape, at::ScalarType compute) {
  const at::Tensor heads =
      projections
          .view({shape.batch, shape.length, shape.heads + 2 * shape.kv_heads, shape.head_dim})
          .transpose(1, 2);
  const auto shared = [&](const at::Tensor& kv) {
    return kv.to(compute).repeat_interleave(shape.heads / shape.kv_heads, 1);
  };
  const at::Tensor q =
      reference::rotate(heads.narrow(1, 0, shape.heads), rotary, shape).to(compute);
  const at::Tensor k =
      shared(reference::rotate(heads.narrow(1, shape.heads, shape.kv_heads), rotary, shape));
  const at::Tensor v = shared(heads.narrow(1, shape.heads + shape.kv_heads, shape.kv_heads));
  // Its fastest kernels know plain causal attention only, not that within documents.
  c10::optional<at::Tensor> seen;
  if (shape.documents != nullptr) {
    seen = reference::hidden_keys(shape, projections.device()).logical_not();
  }
  const at::Tensor mixed = at::scaled_dot_product_attention(q, k, v, seen, /*dropout_p=*/0.0,
                                                            /*is_causal=*/!seen.has_value());
  return mixed.to(at::kFloat)
      .transpose(1, 2)
      .reshape({shape.batch * shape.length, shape.heads * shape.head_dim});
}
#else
at::Tensor attention(const at::Tensor& projections, const RotaryTable& rotary,
                     const AttentionShape& shape, at::ScalarType compute) {
  return reference::attention(projections, rotary, shape, compute);
}
#endif

}  // namespace tercet::learn::device
