// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/reference_ops.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Queries, keys and values of all sequences: q [batch, heads, length, dim], k and v [batch,
// kv_heads, length, dim].
struct Heads {
  at::Tensor q, k, v;
};

Heads empty_heads(const AttentionShape& s, const at::TensorOptions& options) {
  return {at::empty({s.batch, s.heads, s.length, s.head_dim}, options),
          at::empty({s.batch, s.kv_heads, s.length, s.head_dim}, options),
          at::empty({s.batch, s.kv_heads, s.length, s.head_dim}, options)};
}

// Heads that share keys lie one behind the other, so that grouped-query attention is a plain batch
// of products: [batch * kv_heads, (heads / kv_heads) * length, dim].
at::Tensor grouped(const at::Tensor& heads, const AttentionShape& s) {
  return heads.view({s.batch * s.kv_heads, s.heads / s.kv_heads * s.length, -1});
}

at::Tensor shared(const at::Tensor& heads, const AttentionShape& s) {
  return heads.view({s.batch * s.kv_heads, s.length, s.head_dim});
}

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& projections,
                            const RotaryTable& rotary, const AttentionShape& s,
                            at::ScalarType compute) {
    const Heads heads = empty_heads(s, projections.options().dtype(compute));
    const at::Tensor y =
        at::empty({s.batch * s.length, s.heads * s.head_dim}, projections.options());
    at::Tensor p;
    with_storage(compute, [&]<typename Store>() {
      split<Store>(projections, rotary, s, heads);
      p = at::bmm(grouped(heads.q, s), shared(heads.k, s).transpose(1, 2));
      softmax<Store>(p, s);
      const at::Tensor mixed = at::bmm(p, shared(heads.v, s));
      at::parallel_for(0, s.batch, 1, [&](int64_t begin, int64_t end) {
        const int64_t stride = s.heads * s.length * s.head_dim;
        for (int64_t b = begin; b < end; ++b) {
          loops().typed<Store>().merge_heads(storage<Store>(mixed) + b * stride, s.length, s.heads,
                                             s.head_dim, y.data_ptr<float>() + b * stride);
        }
      });
    });
    context->save_for_backward({heads.q, heads.k, heads.v, p, rotary.cosine, rotary.sine});
    context->saved_data["shape"] =
        std::vector<int64_t>{s.batch, s.length, s.heads, s.kv_heads, s.head_dim};
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const std::vector<int64_t> sizes = context->saved_data["shape"].toIntVector();
    const AttentionShape s{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]};
    const at::Tensor dy = gradients[0].contiguous();
    const at::Tensor& p = saved[3];
    const at::Tensor dprojections =
        at::empty({s.batch * s.length, (s.heads + 2 * s.kv_heads) * s.head_dim}, dy.options());
    with_storage(p.scalar_type(), [&]<typename Store>() {
      const at::Tensor dmixed = at::empty_like(saved[0]);
      at::parallel_for(0, s.batch, 1, [&](int64_t begin, int64_t end) {
        const int64_t stride = s.heads * s.length * s.head_dim;
        for (int64_t b = begin; b < end; ++b) {
          loops().typed<Store>().split_heads(dy.data_ptr<float>() + b * stride, s.length, s.heads,
                                             s.head_dim, storage<Store>(dmixed) + b * stride);
        }
      });
      const at::Tensor dv = at::bmm(p.transpose(1, 2), grouped(dmixed, s));
      const at::Tensor dscores = at::bmm(grouped(dmixed, s), shared(saved[2], s).transpose(1, 2));
      softmax_backward<Store>(p, dscores, s);
      const at::Tensor dq = at::bmm(dscores, shared(saved[1], s));
      const at::Tensor dk = at::bmm(dscores.transpose(1, 2), grouped(saved[0], s));
      merge<Store>(dq, dk, dv, {saved[4], saved[5]}, s, dprojections);
    });
    return {dprojections, at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  static float score_scale(const AttentionShape& s) {
    return 1.0f / std::sqrt(static_cast<float>(s.head_dim));
  }

  template <typename Store>
  static void split(const at::Tensor& projections, const RotaryTable& rotary,
                    const AttentionShape& s, const Heads& heads) {
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
  static void merge(const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv,
                    const RotaryTable& rotary, const AttentionShape& s,
                    const at::Tensor& dprojections) {
    const int64_t q_stride = s.heads * s.length * s.head_dim;
    const int64_t kv_stride = s.kv_heads * s.length * s.head_dim;
    at::parallel_for(0, s.batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        loops().typed<Store>().merge_rotate(
            storage<Store>(dq) + b * q_stride, storage<Store>(dk) + b * kv_stride,
            storage<Store>(dv) + b * kv_stride, rotary.cosine.data_ptr<float>(),
            rotary.sine.data_ptr<float>(), s.length, s.heads, s.kv_heads, s.head_dim,
            dprojections.data_ptr<float>() + b * (q_stride + 2 * kv_stride));
      }
    });
  }

  template <typename Store>
  static void softmax(const at::Tensor& scores, const AttentionShape& s) {
    const int64_t square = s.length * s.length;
    at::parallel_for(0, s.batch * s.heads, 1, [&](int64_t begin, int64_t end) {
      loops().typed<Store>().causal_softmax(storage<Store>(scores) + begin * square, end - begin,
                                            s.length, score_scale(s));
    });
  }

  template <typename Store>
  static void softmax_backward(const at::Tensor& p, const at::Tensor& dscores,
                               const AttentionShape& s) {
    const int64_t square = s.length * s.length;
    at::parallel_for(0, s.batch * s.heads, 1, [&](int64_t begin, int64_t end) {
      loops().typed<Store>().causal_softmax_backward(storage<Store>(p) + begin * square,
                                                     storage<Store>(dscores) + begin * square,
                                                     end - begin, s.length, score_scale(s));
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
  if (!projections.is_cpu()) return reference::attention(projections, rotary, shape, compute);
  return AttentionFunction::apply(projections.contiguous(), rotary, shape, compute);
}

}  // namespace tercet::learn
