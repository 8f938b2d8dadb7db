// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/reference_ops.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class GluFunction : public torch::autograd::Function<GluFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate_up, bool silu) {
    const int64_t n = gate_up.size(1) / 2;
    const at::Tensor y = at::empty({gate_up.size(0), n}, gate_up.options());
    const auto loop = silu ? loops().glu_silu : loops().glu_relu2;
    for_rows(gate_up.size(0), n, [&](int64_t begin, int64_t end) {
      loop(gate_up.data_ptr<float>() + begin * 2 * n, end - begin, n,
           y.data_ptr<float>() + begin * n);
    });
    context->save_for_backward({gate_up});
    context->saved_data["silu"] = silu;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor gate_up = context->get_saved_variables()[0];
    const at::Tensor dy = gradients[0].contiguous();
    const int64_t n = gate_up.size(1) / 2;
    const at::Tensor dgate_up = at::empty_like(gate_up);
    const bool silu = context->saved_data["silu"].toBool();
    const auto loop = silu ? loops().glu_silu_backward : loops().glu_relu2_backward;
    for_rows(gate_up.size(0), n, [&](int64_t begin, int64_t end) {
      loop(gate_up.data_ptr<float>() + begin * 2 * n, dy.data_ptr<float>() + begin * n, end - begin,
           n, dgate_up.data_ptr<float>() + begin * 2 * n);
    });
    return {dgate_up, at::Tensor()};
  }
};

// Rows that stay in the first level caches from one loop to the next.
constexpr int64_t kBlockElements = 8192;

// A norm and what it tells its backward pass, of rows from `begin` on. With no weights it is the
// plain one, which has means.
struct NormState {
  const at::Tensor& weight;
  const at::Tensor& inverse;
  const at::Tensor& mean;

  bool has_weight() const { return weight.numel() > 0; }

  void forward(float* block, int64_t begin, int64_t rows, int64_t n, float eps) const {
    float* inverses = inverse.data_ptr<float>() + begin;
    if (has_weight()) {
      return loops().rms_norm(block, weight.data_ptr<float>(), eps, rows, n, block, inverses);
    }
    loops().plain_norm(block, eps, rows, n, block, mean.data_ptr<float>() + begin, inverses);
  }

  void backward(const float* x, const float* dy, int64_t begin, int64_t rows, int64_t n, float* dx,
                float* dweight) const {
    const float* inverses = inverse.data_ptr<float>() + begin;
    if (has_weight()) {
      return loops().rms_norm_backward(x, weight.data_ptr<float>(), inverses, dy, rows, n, dx,
                                       dweight);
    }
    loops().plain_norm_backward(x, mean.data_ptr<float>() + begin, inverses, dy, rows, n, dx);
  }
};

// The gated values between the two operations are never stored: a block of rows at a time is made,
// used, and made again in the backward pass.
class GluNormFunction : public torch::autograd::Function<GluNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate_up,
                            const at::Tensor& weight, bool silu, double eps) {
    const int64_t rows = gate_up.size(0);
    const int64_t n = gate_up.size(1) / 2;
    const at::Tensor y = at::empty({rows, n}, gate_up.options());
    const at::Tensor inverse = at::empty({rows}, gate_up.options());
    const at::Tensor mean = at::empty_like(inverse);
    const NormState norm{weight, inverse, mean};
    const auto glu = silu ? loops().glu_silu : loops().glu_relu2;
    for_rows(rows, n, [&](int64_t first, int64_t last) {
      for_blocks(first, last, n, [&](int64_t begin, int64_t count) {
        float* block = y.data_ptr<float>() + begin * n;
        glu(gate_up.data_ptr<float>() + begin * 2 * n, count, n, block);
        norm.forward(block, begin, count, n, static_cast<float>(eps));
      });
    });
    context->save_for_backward({gate_up, weight, inverse, mean});
    context->saved_data["silu"] = silu;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const NormState norm{saved[1], saved[2], saved[3]};
    const at::Tensor dy = gradients[0].contiguous();
    const bool silu = context->saved_data["silu"].toBool();
    const int64_t n = dy.size(1);
    const at::Tensor dgate_up = at::empty_like(saved[0]);
    const at::Tensor shares = at::zeros({kShares, n}, dy.options());
    for_shares(dy.size(0), [&](int64_t share, int64_t first, int64_t last) {
      std::vector<float> gated(static_cast<size_t>(block_rows(n) * n));
      std::vector<float> dgated(gated.size());
      for_blocks(first, last, n, [&](int64_t begin, int64_t count) {
        const float* input = saved[0].data_ptr<float>() + begin * 2 * n;
        (silu ? loops().glu_silu : loops().glu_relu2)(input, count, n, gated.data());
        norm.backward(gated.data(), dy.data_ptr<float>() + begin * n, begin, count, n,
                      dgated.data(), shares.data_ptr<float>() + share * n);
        (silu ? loops().glu_silu_backward : loops().glu_relu2_backward)(
            input, dgated.data(), count, n, dgate_up.data_ptr<float>() + begin * 2 * n);
      });
    });
    return {dgate_up, norm.has_weight() ? shares.sum(0) : at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  static int64_t block_rows(int64_t n) { return std::max<int64_t>(1, kBlockElements / n); }

  // body(begin, count) over blocks of rows [first, last).
  template <typename Body>
  static void for_blocks(int64_t first, int64_t last, int64_t n, const Body& body) {
    for (int64_t begin = first; begin < last; begin += block_rows(n)) {
      body(begin, std::min(block_rows(n), last - begin));
    }
  }
};

}  // namespace

at::Tensor glu(const at::Tensor& gate_up, Activation activation) {
  if (!runs_fused(gate_up)) return reference::glu(gate_up, activation);
  return GluFunction::apply(gate_up.contiguous(), activation == Activation::kSilu);
}

at::Tensor glu_norm(const at::Tensor& gate_up, Activation activation, const at::Tensor& weight,
                    double eps) {
  if (!runs_fused(gate_up)) {
    const at::Tensor gated = reference::glu(gate_up, activation);
    return weight.defined() ? reference::rms_norm(gated, weight, eps)
                            : reference::plain_norm(gated);
  }
  const bool silu = activation == Activation::kSilu;
  if (weight.defined()) return GluNormFunction::apply(gate_up.contiguous(), weight, silu, eps);
  return GluNormFunction::apply(gate_up.contiguous(), at::empty({0}), silu,
                                static_cast<double>(kPlainNormEps));
}

}  // namespace tercet::learn
