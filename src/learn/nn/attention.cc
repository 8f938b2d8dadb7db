// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "learn/nn/causal_attention.h"
#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/device_ops.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

AttentionHeads empty_heads(const AttentionShape& s, const at::TensorOptions& options) {
  return {at::empty({s.batch, s.heads, s.length, s.head_dim}, options),
          at::empty({s.batch, s.kv_heads, s.length, s.head_dim}, options),
          at::empty({s.batch, s.kv_heads, s.length, s.head_dim}, options)};
}

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& projections,
                            const RotaryTable& rotary, const AttentionShape& s,
                            at::ScalarType compute) {
    const AttentionHeads heads = empty_heads(s, projections.options().dtype(compute));
    const at::Tensor y =
        at::empty({s.batch * s.length, s.heads * s.head_dim}, projections.options());
    variable_list saved{rotary.cosine, rotary.sine, heads.q, heads.k, heads.v};
    with_storage(compute, [&]<typename Store>() {
      split<Store>(projections, rotary, s, heads);
      const CausalAttention result = causal_attention(heads, score_scale(s));
      saved.insert(saved.end(), result.probabilities.begin(), result.probabilities.end());
      at::parallel_for(0, s.batch, 1, [&](int64_t begin, int64_t end) {
        const int64_t stride = s.heads * s.length * s.head_dim;
        for (int64_t b = begin; b < end; ++b) {
          loops().typed<Store>().merge_heads(storage<Store>(result.mixed) + b * stride, s.length,
                                             s.heads, s.head_dim, y.data_ptr<float>() + b * stride);
        }
      });
    });
    context->save_for_backward(saved);
    context->saved_data["shape"] =
        std::vector<int64_t>{s.batch, s.length, s.heads, s.kv_heads, s.head_dim};
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const std::vector<int64_t> sizes = context->saved_data["shape"].toIntVector();
    const AttentionShape s{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]};
    const at::Tensor dy = gradients[0].contiguous();
    const AttentionHeads heads{saved[2], saved[3], saved[4]};
    const std::vector<at::Tensor> probabilities(saved.begin() + 5, saved.end());
    const at::Tensor dprojections =
        at::empty({s.batch * s.length, (s.heads + 2 * s.kv_heads) * s.head_dim}, dy.options());
    with_storage(heads.q.scalar_type(), [&]<typename Store>() {
      const at::Tensor dmixed = at::empty_like(heads.q);
      at::parallel_for(0, s.batch, 1, [&](int64_t begin, int64_t end) {
        const int64_t stride = s.heads * s.length * s.head_dim;
        for (int64_t b = begin; b < end; ++b) {
          loops().typed<Store>().split_heads(dy.data_ptr<float>() + b * stride, s.length, s.heads,
                                             s.head_dim, storage<Store>(dmixed) + b * stride);
        }
      });
      const AttentionHeads dheads =
          causal_attention_backward(dmixed, heads, probabilities, score_scale(s));
      merge<Store>(dheads, {saved[0], saved[1]}, s, dprojections);
    });
    return {dprojections, at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  static float score_scale(const AttentionShape& s) {
    return 1.0f / std::sqrt(static_cast<float>(s.head_dim));
  }

  template <typename Store>
  static void split(const at::Tensor& projections, const RotaryTable& rotary,
                    const AttentionShape& s, const AttentionHeads& heads) {
    const int64_t q_stride = s.heads * s.length * s.head_dim;
    const int64_t kv_stride = s.kv_heads * s.length * s.head_dim;
    at::parallel_for(0, s.batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        loops().typed<Store>().split_rotate(
            projections.data_ptr<float>() + b * (q_stride + 2 * kv_stride),
            rotary.cosine.data_ptr<float>(), rotary.sine.data_ptr<float>(), s.length, s.heads,
            s.kv_heads, s.head_dim, storage<Store>(heads.q) + b * q_stride,
            storage<Store>(heads.k) + b * kv_stride, storage<Store>(heads.v) + b * kv_stride);
      }
    });
  }

  template <typename Store>
  static void merge(const AttentionHeads& gradients, const RotaryTable& rotary,
                    const AttentionShape& s, const at::Tensor& dprojections) {
    const int64_t q_stride = s.heads * s.length * s.head_dim;
    const int64_t kv_stride = s.kv_heads * s.length * s.head_dim;
    at::parallel_for(0, s.batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        loops().typed<Store>().merge_rotate(
            storage<Store>(gradients.q) + b * q_stride, storage<Store>(gradients.k) + b * kv_stride,
            storage<Store>(gradients.v) + b * kv_stride, rotary.cosine.data_ptr<float>(),
            rotary.sine.data_ptr<float>(), s.length, s.heads, s.kv_heads, s.head_dim,
            dprojections.data_ptr<float>() + b * (q_stride + 2 * kv_stride));
      }
    });
  }
};

}  // namespace

RotaryTable rotary_table(int64_t length, int64_t head_dim, double theta, at::Device device) {
  const auto options = at::TensorOptions().dtype(at::kDouble);
  const at::Tensor exponent = at::arange(0, head_dim, 2, options) / static_cast<double>(head_dim);
  const at::Tensor angle = at::outer(at::arange(length, options), at::pow(theta, -exponent));
  return {angle.cos().to(at::kFloat).to(device), angle.sin().to(at::kFloat).to(device)};
}

at::Tensor attention(const at::Tensor& projections, const RotaryTable& rotary,
                     const AttentionShape& shape, at::ScalarType compute) {
  if (!runs_fused(projections)) return device::attention(projections, rotary, shape, compute);
  return AttentionFunction::apply(projections.contiguous(), rotary, shape, compute);
}

}  // namespace tercet::learn
