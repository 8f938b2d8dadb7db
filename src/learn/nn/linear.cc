// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "learn/nn/cpu_dispatch.h"
#include "learn/nn/reference_ops.h"
#include "packing/absmean.h"
#include "packing/ternary.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// x as the compute type; no copy when it is already.
at::Tensor converted(const at::Tensor& x, at::ScalarType compute) {
  if (compute == at::kFloat) return x.contiguous();
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
    return {widened(at::matmul(dy, saved[1])), widened(at::matmul(dy.t(), saved[0])), at::Tensor()};
  }
};

// Codes of several weights, one below the other, and the scale of every output.
struct CodeRows {
  at::Tensor codes;      // [sum out_i, in], compute type
  at::Tensor col_scale;  // [sum out_i] f32
};

// Writes a weight's codes and returns its scale.
template <typename Store>
float write_codes(const at::Tensor& weight, LinearKind kind, Store* codes) {
  const float* values = weight.data_ptr<float>();
  const std::span<const float> all(values, static_cast<size_t>(weight.numel()));
  const bool binary = kind == LinearKind::kB1;
  const float scale = packing::absmean_scale(all);
  const float centre = binary ? packing::mean_of(all) : 0;
  at::parallel_for(0, weight.numel(), 32768, [&](int64_t begin, int64_t end) {
    const TypedLoops<Store>& typed = loops().typed<Store>();
    if (binary) {
      typed.binarize(values + begin, end - begin, centre, codes + begin);
    } else {
      typed.ternarize(values + begin, end - begin, 1.0f / scale, codes + begin);
    }
  });
  return scale;
}

CodeRows code_rows(const std::vector<at::Tensor>& weights, at::ScalarType compute,
                   LinearKind kind) {
  int64_t total = 0;
  for (const at::Tensor& weight : weights) total += weight.size(0);
  const int64_t in = weights.front().size(1);
  const auto options = weights.front().options();
  CodeRows out{at::empty({total, in}, options.dtype(compute)),
               at::empty({total}, options.dtype(at::kFloat))};
  int64_t row = 0;
  for (const at::Tensor& weight : weights) {
    const float scale = with_storage(compute, [&]<typename Store>() {
      return write_codes(weight, kind, storage<Store>(out.codes) + row * in);
    });
    out.col_scale.narrow(0, row, weight.size(0)).fill_(scale);
    row += weight.size(0);
  }
  return out;
}

// codes [rows, in] of x and the scale of each row, which are all the same with kAllTokens.
template <typename Store>
void write_input_codes(const at::Tensor& x, InputRange range, Store* codes, float* row_scale) {
  const int64_t in = x.size(1);
  const float* values = x.data_ptr<float>();
  if (range == InputRange::kPerToken) {
    for_rows(x.size(0), in, [&](int64_t begin, int64_t end) {
      loops().typed<Store>().quantize_rows(values + begin * in, end - begin, in, codes + begin * in,
                                           row_scale + begin);
    });
    return;
  }
  const float absmax = std::max(x.abs().max().item<float>(), 1e-5f);
  const float scale = 127.0f / absmax;
  std::fill(row_scale, row_scale + x.size(0), scale);
  for_rows(x.size(0), in, [&](int64_t begin, int64_t end) {
    loops().typed<Store>().quantize(values + begin * in, (end - begin) * in, scale,
                                    codes + begin * in);
  });
}

class LowBitLinearFunction : public torch::autograd::Function<LowBitLinearFunction> {
 public:
  // A TensorList, so that autograd sees each weight.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, at::TensorList weights,
                            at::ScalarType compute, LinearKind kind, InputRange range) {
    const int64_t rows = x.size(0);
    const int64_t in = x.size(1);
    const CodeRows matrix = code_rows(weights.vec(), compute, kind);
    const at::Tensor codes = at::empty({rows, in}, x.options().dtype(compute));
    const at::Tensor row_scale = at::empty({rows}, x.options());
    with_storage(compute, [&]<typename Store>() {
      write_input_codes(x, range, storage<Store>(codes), row_scale.data_ptr<float>());
    });
    context->save_for_backward({codes, row_scale, matrix.codes, matrix.col_scale});
    context->saved_data["rows"] = row_counts(weights.vec());
    return scaled(at::matmul(codes, matrix.codes.t()), row_scale, matrix.col_scale);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& codes = saved[0];
    const at::Tensor dy = gradients[0].contiguous();
    const int64_t rows = dy.size(0);
    const int64_t n = dy.size(1);
    const at::Tensor by_col = at::empty({rows, n}, codes.options());
    const at::Tensor by_row = at::empty({rows, n}, codes.options());
    with_storage(codes.scalar_type(), [&]<typename Store>() {
      for_rows(rows, n, [&](int64_t begin, int64_t end) {
        loops().typed<Store>().scale_gradient(
            dy.data_ptr<float>() + begin * n, saved[1].data_ptr<float>() + begin,
            saved[3].data_ptr<float>(), end - begin, n, storage<Store>(by_col) + begin * n,
            storage<Store>(by_row) + begin * n);
      });
    });
    variable_list out{widened(at::matmul(by_col, saved[2]))};
    const at::Tensor dweights = widened(at::matmul(by_row.t(), codes));
    for (at::Tensor& part : split_rows(dweights, context->saved_data["rows"].toIntVector())) {
      out.push_back(std::move(part));
    }
    out.resize(out.size() + 3);
    return out;
  }

 private:
  static at::Tensor scaled(const at::Tensor& acc, const at::Tensor& row_scale,
                           const at::Tensor& col_scale) {
    const int64_t n = acc.size(1);
    const at::Tensor y = at::empty(acc.sizes(), acc.options().dtype(at::kFloat));
    with_storage(acc.scalar_type(), [&]<typename Store>() {
      for_rows(acc.size(0), n, [&](int64_t begin, int64_t end) {
        loops().typed<Store>().scale_output(
            storage<Store>(acc) + begin * n, row_scale.data_ptr<float>() + begin,
            col_scale.data_ptr<float>(), end - begin, n, y.data_ptr<float>() + begin * n);
      });
    });
    return y;
  }
};

}  // namespace

at::Tensor dense_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                        at::ScalarType compute) {
  if (!x.is_cpu()) return reference::dense_linear(x, weights, compute);
  return DenseLinearFunction::apply(
      x.contiguous(), weights.size() == 1 ? weights[0] : at::cat(weights, 0), compute);
}

at::Tensor ternary_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute) {
  if (!x.is_cpu()) return reference::ternary_linear(x, weights, compute);
  return LowBitLinearFunction::apply(x.contiguous(), at::TensorList(weights), compute,
                                     LinearKind::kB158, InputRange::kPerToken);
}

at::Tensor binary_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                         at::ScalarType compute, InputRange range) {
  if (!x.is_cpu()) return reference::binary_linear(x, weights, compute, range);
  return LowBitLinearFunction::apply(x.contiguous(), at::TensorList(weights), compute,
                                     LinearKind::kB1, range);
}

}  // namespace tercet::learn
