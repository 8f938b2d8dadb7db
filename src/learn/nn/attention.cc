// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "learn/nn/causal_attention.h"
#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/device_ops.h"
#include "learn/nn/span_layout.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Queries, keys, values and probabilities of all groups one after another, flat.
struct AttentionState {
  at::Tensor q, k, v, probabilities;
};

// The attention of one group of spans.
template <typename Store>
class GroupAttention {
 public:
  GroupAttention(const AttentionShape& shape, const SpanGroup& group, const RotaryTable& rotary)
      : s_(shape), group_(group), rotary_(rotary) {}

  // Fills the group's part of `state` and its rows of y [rows, heads * dim].
  void forward(const at::Tensor& projections, const AttentionState& state,
               const at::Tensor& y) const {
    const AttentionHeads heads = heads_of(state);
    split(projections, heads);
    const at::Tensor mixed = causal_attention(heads, probabilities_of(state), score_scale());
    for_spans([&](int64_t index, const Span& span) {
      loops().typed<Store>().merge_heads(storage<Store>(mixed) + index * q_stride(), span.length,
                                         group_.length, s_.heads, s_.head_dim,
                                         y.data_ptr<float>() + span.begin * y.size(1));
    });
  }

  // Fills the group's rows of the projections' gradient.
  void backward(const at::Tensor& dy, const AttentionState& state,
                const at::Tensor& dprojections) const {
    const AttentionHeads heads = heads_of(state);
    const at::Tensor dmixed = at::empty_like(heads.q);
    if (group_.is_padded()) dmixed.zero_();
    for_spans([&](int64_t index, const Span& span) {
      loops().typed<Store>().split_heads(dy.data_ptr<float>() + span.begin * dy.size(1),
                                         span.length, group_.length, s_.heads, s_.head_dim,
                                         storage<Store>(dmixed) + index * q_stride());
    });
    merge(causal_attention_backward(dmixed, heads, probabilities_of(state), score_scale()),
          dprojections);
  }

 private:
  int64_t q_stride() const { return s_.heads * group_.length * s_.head_dim; }
  int64_t kv_stride() const { return s_.kv_heads * group_.length * s_.head_dim; }
  float score_scale() const { return 1.0f / std::sqrt(static_cast<float>(s_.head_dim)); }

  at::Tensor rows_of(const at::Tensor& all, int64_t heads) const {
    const int64_t row = heads * s_.head_dim;
    return all.narrow(0, group_.first_row * row, group_.count() * group_.length * row)
        .view({group_.count(), heads, group_.length, s_.head_dim});
  }
  AttentionHeads heads_of(const AttentionState& state) const {
    return {rows_of(state.q, s_.heads), rows_of(state.k, s_.kv_heads),
            rows_of(state.v, s_.kv_heads)};
  }
  at::Tensor probabilities_of(const AttentionState& state) const {
    return state.probabilities.narrow(
        0, group_.first_probability * s_.heads,
        group_.count() * s_.heads * causal_probabilities(group_.length));
  }

  template <typename Body>
  void for_spans(const Body& body) const {
    at::parallel_for(0, group_.count(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) body(i, group_.spans[static_cast<size_t>(i)]);
    });
  }

  // Padding becomes zero, which adds nothing to any product; no row sees the keys behind it.
  void split(const at::Tensor& projections, const AttentionHeads& heads) const {
    if (group_.is_padded()) {
      for (const at::Tensor& tensor : {heads.q, heads.k, heads.v}) tensor.zero_();
    }
    for_spans([&](int64_t index, const Span& span) {
      loops().typed<Store>().split_rotate(
          projections.data_ptr<float>() + span.begin * projections.size(1),
          rotary_.cosine.data_ptr<float>(), rotary_.sine.data_ptr<float>(), span.length,
          group_.length, s_.heads, s_.kv_heads, s_.head_dim,
          storage<Store>(heads.q) + index * q_stride(),
          storage<Store>(heads.k) + index * kv_stride(),
          storage<Store>(heads.v) + index * kv_stride());
    });
  }

  void merge(const AttentionHeads& gradients, const at::Tensor& dprojections) const {
    for_spans([&](int64_t index, const Span& span) {
      loops().typed<Store>().merge_rotate(
          storage<Store>(gradients.q) + index * q_stride(),
          storage<Store>(gradients.k) + index * kv_stride(),
          storage<Store>(gradients.v) + index * kv_stride(), rotary_.cosine.data_ptr<float>(),
          rotary_.sine.data_ptr<float>(), span.length, group_.length, s_.heads, s_.kv_heads,
          s_.head_dim, dprojections.data_ptr<float>() + span.begin * dprojections.size(1));
    });
  }

  const AttentionShape& s_;
  const SpanGroup& group_;
  const RotaryTable& rotary_;
};

// What backward() needs of the shape, as libtorch keeps it: five sizes, then the documents' spans.
std::vector<int64_t> shape_list(const AttentionShape& s) {
  std::vector<int64_t> list = {s.batch, s.length, s.heads, s.kv_heads, s.head_dim};
  if (s.documents == nullptr) return list;
  for (const Span& span : s.documents->spans) list.insert(list.end(), {span.begin, span.length});
  return list;
}

SpanLayout layout_of(const std::vector<int64_t>& list) {
  std::vector<Span> spans;
  for (size_t i = 5; i < list.size(); i += 2) spans.push_back({list[i], list[i + 1]});
  return spans.empty() ? sequence_layout(list[0], list[1])
                       : document_layout(spans, list[0], list[1]);
}

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& projections,
                            const RotaryTable& rotary, const AttentionShape& s,
                            at::ScalarType compute) {
    const std::vector<int64_t> list = shape_list(s);
    const SpanLayout layout = layout_of(list);
    const auto flat = [&](int64_t elements) {
      return at::empty({elements}, projections.options().dtype(compute));
    };
    const AttentionState state = {
        flat(layout.rows * s.heads * s.head_dim), flat(layout.rows * s.kv_heads * s.head_dim),
        flat(layout.rows * s.kv_heads * s.head_dim), flat(layout.probabilities * s.heads)};
    const at::Tensor y =
        at::empty({s.batch * s.length, s.heads * s.head_dim}, projections.options());
    with_storage(compute, [&]<typename Store>() {
      for (const SpanGroup& group : layout.groups) {
        GroupAttention<Store>(s, group, rotary).forward(projections, state, y);
      }
    });
    context->save_for_backward(
        {rotary.cosine, rotary.sine, state.q, state.k, state.v, state.probabilities});
    context->saved_data["shape"] = list;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const std::vector<int64_t> list = context->saved_data["shape"].toIntVector();
    const AttentionShape s{list[0], list[1], list[2], list[3], list[4]};
    const RotaryTable rotary{saved[0], saved[1]};
    const AttentionState state{saved[2], saved[3], saved[4], saved[5]};
    const at::Tensor dy = gradients[0].contiguous();
    const at::Tensor dprojections =
        at::empty({s.batch * s.length, (s.heads + 2 * s.kv_heads) * s.head_dim}, dy.options());
    const SpanLayout layout = layout_of(list);
    with_storage(state.q.scalar_type(), [&]<typename Store>() {
      for (const SpanGroup& group : layout.groups) {
        GroupAttention<Store>(s, group, rotary).backward(dy, state, dprojections);
      }
    });
    return {dprojections, at::Tensor(), at::Tensor(), at::Tensor()};
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
