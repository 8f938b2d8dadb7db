// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/scaled_ternary.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "learn/nn/cpu_dispatch.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The parts of a row that have a scale of their own.
struct ScaledParts {
  int64_t cols;
  int64_t size;    // columns of a part; the last one may have fewer
  int64_t groups;  // parts of a row
  bool is_one;     // whether all rows share one scale

  // body(element offset, elements, index of the scale, index of the part) for rows [begin, end).
  template <typename Body>
  void each(int64_t begin, int64_t end, const Body& body) const {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t group = 0; group < groups; ++group) {
        const int64_t first = group * size;
        const int64_t part = row * groups + group;
        body(row * cols + first, std::min(size, cols - first), is_one ? 0 : part, part);
      }
    }
  }
};

// Beyond, cosh leaves what the loops can divide by.
constexpr double kSharpest = 60;

// The form of one call, of which each part takes its scale.
class SoftForm {
 public:
  explicit SoftForm(double sharpness)
      : form_{static_cast<float>(sharpness), static_cast<float>(std::cosh(sharpness)), 1},
        inverse_tanh_(static_cast<float>(1 / std::tanh(sharpness))) {}

  SoftTernary with(float scale) const {
    SoftTernary out = form_;
    out.unit = scale * inverse_tanh_;
    return out;
  }

 private:
  SoftTernary form_;
  float inverse_tanh_;
};

class ScaledTernaryFunction : public torch::autograd::Function<ScaledTernaryFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& w,
                            const at::Tensor& log_scale, int64_t group_columns, double sharpness) {
    const at::Tensor scales = log_scale.exp();
    const at::Tensor y = at::empty_like(w);
    const ScaledParts parts = parts_of(w, log_scale, group_columns);
    const SoftForm form(sharpness);
    const float* from = w.data_ptr<float>();
    const float* scale = scales.data_ptr<float>();
    float* to = y.data_ptr<float>();
    for_rows(w.size(0), parts.cols, [&](int64_t begin, int64_t end) {
      parts.each(begin, end, [&](int64_t at, int64_t count, int64_t of, int64_t) {
        if (std::isinf(sharpness)) {
          return loops().hard_ternary(from + at, count, scale[of], to + at);
        }
        loops().soft_ternary(form.with(scale[of]), from + at, count, to + at);
      });
    });
    context->save_for_backward({w, scales});
    context->saved_data["group_columns"] = group_columns;
    context->saved_data["sharpness"] = sharpness;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& w = saved[0];
    const at::Tensor& scales = saved[1];
    const at::Tensor dy = gradients[0].contiguous();
    const double sharpness = context->saved_data["sharpness"].toDouble();
    const ScaledParts parts = parts_of(w, scales, context->saved_data["group_columns"].toInt());
    const SoftForm form(sharpness);
    const bool is_wanted = context->needs_input_grad(0);
    const at::Tensor dw = is_wanted ? at::empty_like(w) : at::Tensor();
    const at::Tensor sums = at::empty({w.size(0), parts.groups}, w.options());
    const float* from = w.data_ptr<float>();
    const float* scale = scales.data_ptr<float>();
    const float* given = dy.data_ptr<float>();
    float* sum = sums.data_ptr<float>();
    for_rows(w.size(0), parts.cols, [&](int64_t begin, int64_t end) {
      std::vector<float> unused(is_wanted ? 0 : static_cast<size_t>(parts.size));
      parts.each(begin, end, [&](int64_t at, int64_t count, int64_t of, int64_t part) {
        float* to = is_wanted ? dw.data_ptr<float>() + at : unused.data();
        sum[part] = std::isinf(sharpness)
                        ? loops().hard_ternary_backward(from + at, given + at, count, scale[of], to)
                        : loops().soft_ternary_backward(form.with(scale[of]), from + at, given + at,
                                                        count, to);
      });
    });
    // d exp(s) / ds = exp(s), so what reaches a logarithm is the sum of dy * y.
    return {dw, parts.is_one ? sums.sum().reshape({1, 1}) : sums, at::Tensor(), at::Tensor()};
  }

 private:
  static ScaledParts parts_of(const at::Tensor& w, const at::Tensor& scales,
                              int64_t group_columns) {
    const bool is_one = scales.size(0) != w.size(0);
    return {w.size(1), group_columns, (w.size(1) + group_columns - 1) / group_columns, is_one};
  }
};

}  // namespace

at::Tensor scaled_ternary(const at::Tensor& w, const at::Tensor& log_scale,
                          const Grouping& grouping, double sharpness) {
  const bool one = log_scale.numel() == 1;
  if (log_scale.dim() != 2 || w.dim() != 2 ||
      (!one &&
       (log_scale.size(0) != w.size(0) || log_scale.size(1) != grouping.groups(w.size(1)))) ||
      (std::isfinite(sharpness) && sharpness > kSharpest)) {
    fail(ErrorCode::kInternal, "scaled_ternary: shapes or sharpness that it cannot take");
  }
  return ScaledTernaryFunction::apply(w.contiguous(), log_scale.contiguous(),
                                      grouping.columns(w.size(1)), sharpness);
}

at::Tensor ternary_codes(const at::Tensor& w) { return w.round().clamp(-1, 1); }

}  // namespace tercet::learn
