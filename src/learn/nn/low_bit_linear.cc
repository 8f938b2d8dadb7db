// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "learn/nn/code_matrix.h"
#include "learn/nn/column_groups.h"
#include "learn/nn/device_ops.h"
#include "learn/nn/device_path.h"
#include "learn/nn/low_bit_form.h"
#include "learn/nn/reference_ops.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the map makes of the shift that its input lacks: y[t, r] = shift[t] * sum_c Q(W)[r, c].
class ShiftFunction : public torch::autograd::Function<ShiftFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& shift,
                            at::TensorList weights, const c10::intrusive_ptr<CodeMatrix>& matrix) {
    const int64_t in = weights.front().size(1);
    const at::Tensor sums = at::empty({1, matrix->rows()}, shift.options());
    matrix->multiply(at::ones({1, in}, shift.options().dtype(at::kChar)),
                     at::ones({1}, shift.options()), sums);
    context->save_for_backward({shift});
    std::vector<int64_t> rows;
    for (const at::Tensor& weight : weights) rows.push_back(weight.size(0));
    context->saved_data["rows"] = rows;
    context->saved_data["in"] = in;
    return shift * sums;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor shift = context->get_saved_variables()[0];
    const at::Tensor dsums = at::matmul(gradients[0].t(), shift);
    const int64_t in = context->saved_data["in"].toInt();
    variable_list out{at::Tensor()};
    for (const at::Tensor& part :
         dsums.split_with_sizes(context->saved_data["rows"].toIntVector(), 0)) {
      out.push_back(part.expand({part.size(0), in}));
    }
    out.resize(out.size() + 1);
    return out;
  }
};

at::Tensor shifted_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute, const LowBitForm& form, CodeCache& cache) {
  const at::Tensor shift = shift_of(x, form.range);
  const at::Tensor y = integer_linear(x - shift, weights, compute, form.kind, form.range, &cache);
  const auto matrix = cache.of(weights, form.kind, compute, false);
  return y + ShiftFunction::apply(shift, at::TensorList(weights), matrix);
}

}  // namespace

at::Tensor low_bit_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                          at::ScalarType compute, const LowBitForm& form, CodeCache* cache) {
  if (!runs_fused(x)) {
    const bool is_plain = form.groups == 1 && !form.shifted;
    return is_plain ? device::low_bit_linear(x, weights, compute, form.kind, form.range)
                    : reference::low_bit_linear(x, weights, compute, form);
  }
  return sum_over_groups(
      x, weights, form.groups, [&](const at::Tensor& input, const std::vector<at::Tensor>& parts) {
        // A cache goes by the tensors, and those of groups are made for this call.
        CodeCache once;
        CodeCache& codes = cache != nullptr && form.groups == 1 ? *cache : once;
        if (form.shifted) return shifted_linear(input, parts, compute, form, codes);
        return integer_linear(input, parts, compute, form.kind, form.range, &codes);
      });
}

}  // namespace tercet::learn
