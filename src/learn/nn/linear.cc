// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "learn/nn/code_matrix.h"
#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/device_ops.h"
#include "learn/nn/input_codes.h"
#include "learn/nn/low_bit_form.h"
#include "learn/nn/reference_ops.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// x as the compute type; no copy when it is already.
at::Tensor converted(const at::Tensor& x, at::ScalarType compute) {
  if (x.scalar_type() == compute) return x.contiguous();
  const at::Tensor source = x.contiguous();
  const at::Tensor out = at::empty(x.sizes(), x.options().dtype(compute));
  at::parallel_for(0, x.numel(), 32768, [&](int64_t begin, int64_t end) {
    loops().bf16.convert(source.data_ptr<float>() + begin, end - begin,
                         storage<uint16_t>(out) + begin);
  });
  return out;
}

at::Tensor widened(const at::Tensor& x) {
  if (x.scalar_type() == at::kFloat) return x;
  const at::Tensor out = at::empty(x.sizes(), x.options().dtype(at::kFloat));
  at::parallel_for(0, x.numel(), 32768, [&](int64_t begin, int64_t end) {
    loops().bf16.widen(storage<uint16_t>(x) + begin, end - begin, out.data_ptr<float>() + begin);
  });
  return out;
}

// The weights' gradient [sum out_i, in], cut back into one tensor per weight.
variable_list split_rows(const at::Tensor& gradient, const std::vector<int64_t>& rows) {
  return gradient.split_with_sizes(rows, 0);
}

std::vector<int64_t> row_counts(const std::vector<at::Tensor>& weights) {
  std::vector<int64_t> rows;
  for (const at::Tensor& weight : weights) rows.push_back(weight.size(0));
  return rows;
}

class DenseLinearFunction : public torch::autograd::Function<DenseLinearFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            at::ScalarType compute) {
    const at::Tensor input = converted(x, compute);
    const at::Tensor matrix = converted(weight, compute);
    context->save_for_backward({input, matrix});
    return widened(at::matmul(input, matrix.t()));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor dy = converted(gradients[0], saved[0].scalar_type());
    at::Tensor dx;
    at::Tensor dw;
    if (context->needs_input_grad(0)) dx = widened(at::matmul(dy, saved[1]));
    if (context->needs_input_grad(1)) dw = widened(at::matmul(dy.t(), saved[0]));
    return {dx, dw, at::Tensor()};
  }
};

// x [rows, n] in f32, each row times its factor.
at::Tensor scaled_rows(const at::Tensor& x, const at::Tensor& factor) {
  const int64_t n = x.size(1);
  const at::Tensor y = at::empty(x.sizes(), x.options().dtype(at::kFloat));
  with_storage(x.scalar_type(), [&]<typename Store>() {
    for_rows(x.size(0), n, [&](int64_t begin, int64_t end) {
      loops().typed<Store>().scale_rows(storage<Store>(x) + begin * n,
                                        factor.data_ptr<float>() + begin, end - begin, n,
                                        y.data_ptr<float>() + begin * n);
    });
  });
  return y;
}

// With codes q, W and their scales s (a row of x) and g (a row of W), y = sum q W g / s. Both
// gradients come from z = dy g / s, since the other operand of each product is then made of small
// integers, which bf16 holds exactly: dx = s (z W), dW = (z^T q) / g.
class LowBitLinearFunction : public torch::autograd::Function<LowBitLinearFunction> {
 public:
  // `weights` is a TensorList, so that autograd sees each; `matrix` holds their codes.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, at::TensorList weights,
                            const c10::intrusive_ptr<CodeMatrix>& matrix, InputRange range) {
    const InputCodes input = quantize_input(x, range);
    const at::Tensor y = at::empty({x.size(0), matrix->rows()}, x.options());
    matrix->multiply(input.codes, input.row_scale, y);
    context->save_for_backward({input.codes, input.row_scale});
    context->saved_data["matrix"] = c10::IValue::make_capsule(matrix);
    context->saved_data["rows"] = row_counts(weights.vec());
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto capsule = context->saved_data["matrix"].toCapsule();
    const auto& matrix = static_cast<const CodeMatrix&>(*capsule);
    const at::Tensor& numbers = matrix.numbers();
    const at::Tensor z =
        scaled_gradient(gradients[0].contiguous(), saved[1], matrix.scales(), numbers);
    variable_list out{scaled_rows(at::matmul(z, numbers), saved[1])};
    const at::Tensor dweights =
        scaled_rows(at::matmul(z.t(), numbers_of(saved[0], numbers.scalar_type())),
                    matrix.scales().reciprocal());
    for (at::Tensor& part : split_rows(dweights, context->saved_data["rows"].toIntVector())) {
      out.push_back(std::move(part));
    }
    out.resize(out.size() + 2);
    return out;
  }

 private:
  static at::Tensor scaled_gradient(const at::Tensor& dy, const at::Tensor& row_scale,
                                    const at::Tensor& col_scale, const at::Tensor& like) {
    const int64_t n = dy.size(1);
    const at::Tensor z = at::empty(dy.sizes(), like.options());
    with_storage(z.scalar_type(), [&]<typename Store>() {
      for_rows(dy.size(0), n, [&](int64_t begin, int64_t end) {
        loops().typed<Store>().scale_gradient(
            dy.data_ptr<float>() + begin * n, row_scale.data_ptr<float>() + begin,
            col_scale.data_ptr<float>(), end - begin, n, storage<Store>(z) + begin * n);
      });
    });
    return z;
  }
};

}  // namespace

at::Tensor dense_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                        at::ScalarType compute) {
  if (!runs_fused(x)) return reference::dense_linear(x, weights, compute);
  return DenseLinearFunction::apply(
      x.contiguous(), weights.size() == 1 ? weights[0] : at::cat(weights, 0), compute);
}

at::Tensor integer_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute, LinearKind kind, InputRange range,
                          CodeCache* cache) {
  CodeCache once;
  const bool with_backward = at::GradMode::is_enabled();
  const auto matrix = (cache == nullptr ? once : *cache).of(weights, kind, compute, with_backward);
  return LowBitLinearFunction::apply(x.contiguous(), at::TensorList(weights), matrix, range);
}

at::Tensor ternary_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute, CodeCache* cache) {
  constexpr InputRange kRange = InputRange::kPerToken;
  if (!runs_fused(x)) {
    return device::low_bit_linear(x, weights, compute, LinearKind::kB158, kRange);
  }
  return integer_linear(x, weights, compute, LinearKind::kB158, kRange, cache);
}

at::Tensor binary_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                         at::ScalarType compute, InputRange range, CodeCache* cache) {
  if (!runs_fused(x)) return device::low_bit_linear(x, weights, compute, LinearKind::kB1, range);
  return integer_linear(x, weights, compute, LinearKind::kB1, range, cache);
}

}  // namespace tercet::learn
