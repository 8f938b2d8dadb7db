// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/device_ops.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows whose logits exist at one time.
constexpr int64_t kBlockRows = 1024;
// Rows per share of the parallel loss sum; fixed, so that the sum is the same for any thread count.
constexpr int64_t kShareRows = 32;

class HeadLossFunction : public torch::autograd::Function<HeadLossFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& targets,
                            at::ScalarType compute, bool with_gradients) {
    const int64_t rows = hidden.size(0);
    const int64_t counted = targets.ge(0).sum().item<int64_t>();
    const at::Tensor matrix = weight.to(compute);
    const at::Tensor dhidden = with_gradients ? at::empty_like(hidden) : at::Tensor();
    const at::Tensor dweight = with_gradients ? at::zeros_like(weight) : at::Tensor();
    const float scale = 1.0f / static_cast<float>(std::max<int64_t>(1, counted));
    double loss = 0.0;
    for (int64_t begin = 0; begin < rows; begin += kBlockRows) {
      const int64_t count = std::min(kBlockRows, rows - begin);
      const at::Tensor block = hidden.narrow(0, begin, count).to(compute);
      const at::Tensor logits = at::matmul(block, matrix.t());
      loss += block_loss(logits, targets.narrow(0, begin, count), scale);
      if (!with_gradients) continue;
      dhidden.narrow(0, begin, count).copy_(at::matmul(logits, matrix));
      dweight.add_(at::matmul(logits.t(), block));
    }
    if (with_gradients) context->save_for_backward({dhidden, dweight});
    return at::scalar_tensor(loss * static_cast<double>(scale), hidden.options());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {saved[0] * gradients[0], saved[1] * gradients[0], at::Tensor(), at::Tensor(),
            at::Tensor()};
  }

 private:
  // Summed loss of a block; its logits become their own gradient.
  static double block_loss(const at::Tensor& logits, const at::Tensor& targets, float scale) {
    const int64_t rows = logits.size(0);
    const int64_t vocab = logits.size(1);
    const int64_t shares = (rows + kShareRows - 1) / kShareRows;
    std::vector<double> sums(static_cast<size_t>(shares));
    with_storage(logits.scalar_type(), [&]<typename Store>() {
      at::parallel_for(0, shares, 1, [&](int64_t first, int64_t last) {
        for (int64_t share = first; share < last; ++share) {
          const int64_t begin = share * kShareRows;
          sums[static_cast<size_t>(share)] = loops().typed<Store>().cross_entropy(
              storage<Store>(logits) + begin * vocab, targets.data_ptr<int64_t>() + begin,
              std::min(kShareRows, rows - begin), vocab, scale);
        }
      });
    });
    double total = 0.0;
    for (const double sum : sums) total += sum;
    return total;
  }
};

}  // namespace

at::Tensor head_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                     at::ScalarType compute) {
  if (!runs_fused(hidden)) return device::head_loss(hidden, weight, targets, compute);
  const bool with_gradients =
      at::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
  return HeadLossFunction::apply(hidden.contiguous(), weight, targets.contiguous(), compute,
                                 with_gradients);
}

}  // namespace tercet::learn
