// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "learn/nn/device_ops.h"

namespace tercet::learn::device {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What a block of rows adds to the loss, and its logits as their own gradient.
struct BlockLoss {
  at::Tensor loss;     // scalar f64, summed
  at::Tensor dlogits;  // [rows, vocab] f32
};

BlockLoss block_loss(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& scale) {
  const at::Tensor counted = targets.ge(0).to(at::kFloat).unsqueeze(1);
  const at::Tensor index = targets.clamp_min(0).unsqueeze(1);
  const at::Tensor total = logits.logsumexp(1, true);
  const at::Tensor loss = ((total - logits.gather(1, index)) * counted).sum(at::kDouble);
  const at::Tensor dlogits = (logits - total).exp_();
  dlogits.scatter_add_(1, index, -at::ones_like(counted)).mul_(counted * scale);
  return {loss, dlogits};
}

class HeadLossFunction : public torch::autograd::Function<HeadLossFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& targets,
                            at::ScalarType compute, int64_t block_logits, bool with_gradients) {
    const int64_t rows = hidden.size(0);
    const int64_t most = std::max<int64_t>(1, block_logits / weight.size(0));
    const at::Tensor scale = targets.ge(0).sum().clamp_min(1).to(at::kFloat).reciprocal();
    const at::Tensor matrix = weight.to(compute);
    const at::Tensor dhidden = with_gradients ? at::empty_like(hidden) : at::Tensor();
    const at::Tensor dweight = with_gradients ? at::zeros_like(weight) : at::Tensor();
    at::Tensor loss = at::zeros({}, hidden.options().dtype(at::kDouble));
    for (int64_t begin = 0; begin < rows; begin += most) {
      const int64_t count = std::min(most, rows - begin);
      const at::Tensor block = hidden.narrow(0, begin, count).to(compute);
      const BlockLoss part = block_loss(at::matmul(block, matrix.t()).to(at::kFloat),
                                        targets.narrow(0, begin, count), scale);
      loss += part.loss;
      if (!with_gradients) continue;
      const at::Tensor dlogits = part.dlogits.to(compute);
      dhidden.narrow(0, begin, count).copy_(at::matmul(dlogits, matrix));
      dweight.add_(at::matmul(dlogits.t(), block));
    }
    if (with_gradients) context->save_for_backward({dhidden, dweight});
    return (loss * scale).to(at::kFloat);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {saved[0] * gradients[0],
            saved[1] * gradients[0],
            at::Tensor(),
            at::Tensor(),
            at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

at::Tensor head_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                     at::ScalarType compute, int64_t block_logits) {
  const bool with_gradients =
      at::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
  return HeadLossFunction::apply(hidden, weight, targets, compute, block_logits, with_gradients);
}

}  // namespace tercet::learn::device
