// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/head.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "learn/nn/cpu_dispatch.h"
#include "learn/ptq/block.h"

namespace tercet::learn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Positions whose logits exist at a time: two matrices of 49,152 columns take 25 MB in bf16.
constexpr int64_t kBlockRows = 128;

class DivergenceFunction : public torch::autograd::Function<DivergenceFunction> {
 public:
  // given, source: [tokens, hidden_size] f32; the matrices [vocab_size, hidden_size].
  static at::Tensor forward(AutogradContext* context, const at::Tensor& given,
                            const at::Tensor& source, const at::Tensor& given_matrix,
                            const at::Tensor& source_matrix) {
    const at::ScalarType compute = given_matrix.scalar_type();
    const at::Tensor gradient = at::empty_like(given);
    double sum = 0;
    for (int64_t begin = 0; begin < given.size(0); begin += kBlockRows) {
      const int64_t count = std::min(kBlockRows, given.size(0) - begin);
      const auto logits = [&](const at::Tensor& x, const at::Tensor& matrix) {
        return at::matmul(x.narrow(0, begin, count).to(compute), matrix.t());
      };
      const at::Tensor wanted = logits(source, source_matrix);
      const at::Tensor got = logits(given, given_matrix);
      sum += divergence_of(wanted, got);
      gradient.narrow(0, begin, count).copy_(at::matmul(got, given_matrix));
    }
    context->save_for_backward({gradient});
    return at::scalar_tensor(sum, given.options());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    return {context->get_saved_variables()[0] * gradients[0], at::Tensor(), at::Tensor(),
            at::Tensor()};
  }

 private:
  // `got` becomes the gradient.
  static double divergence_of(const at::Tensor& wanted, const at::Tensor& got) {
    const int64_t vocab = got.size(1);
    std::vector<double> sums(static_cast<size_t>(got.size(0)));
    with_storage(got.scalar_type(), [&]<typename Store>() {
      at::parallel_for(0, got.size(0), 1, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          sums[static_cast<size_t>(row)] = loops().typed<Store>().divergence(
              storage<Store>(wanted) + row * vocab, storage<Store>(got) + row * vocab, 1, vocab, 1);
        }
      });
    });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
  }
};

}  // namespace

at::Tensor final_norm_of(const HfModel& model) {
  const at::Tensor norm = read_tensor(model, "model.norm.weight");
  return model.config().zero_centered_norms ? norm + 1 : norm;
}

ModelHead::ModelHead(const HfModel& model, std::optional<DType> type, at::ScalarType compute)
    : eps_(static_cast<double>(model.config().rms_norm_eps)) {
  norm_ = final_norm_of(model);
  matrix_ =
      read_tensor(
          model,
          model.config().tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight", type)
          .to(compute);
}

at::Tensor ModelHead::normed(const at::Tensor& r) const { return rms_normed(r, norm_, eps_); }

at::Tensor ModelHead::log_probabilities(const at::Tensor& r) const {
  return at::log_softmax(at::matmul(normed(r), matrix_.to(at::kFloat).t()), -1);
}

at::Tensor divergence(const ModelHead& source, const at::Tensor& r_source, const ModelHead& given,
                      const at::Tensor& r) {
  const at::ScalarType type = given.matrix().scalar_type();
  if (type != source.matrix().scalar_type() || (type != at::kFloat && type != at::kBFloat16)) {
    fail(ErrorCode::kInternal,
         "divergence: both heads take their products in f32, or both in bf16");
  }
  at::Tensor wanted;
  {
    const at::NoGradGuard no_gradients;
    wanted = source.normed(r_source);
  }
  return DivergenceFunction::apply(given.normed(r).contiguous(), wanted.contiguous(),
                                   given.matrix(), source.matrix());
}

at::Tensor embedded(const HfModel& model, const std::vector<int32_t>& ids,
                    std::optional<DType> type) {
  const TensorView& table = model.tensor("model.embed_tokens.weight");
  const int64_t width = model.config().hidden_size;
  const size_t row_bytes = table.bytes.size() / static_cast<size_t>(model.config().vocab_size);
  at::Tensor out = at::empty({std::ssize(ids), width}, at::kFloat);
  for (int64_t i = 0; i < std::ssize(ids); ++i) {
    const size_t offset = static_cast<size_t>(ids[static_cast<size_t>(i)]) * row_bytes;
    const std::vector<float> row =
        to_f32({table.name, table.type, {1, width}, table.bytes.subspan(offset, row_bytes)});
    std::copy(row.begin(), row.end(), out.data_ptr<float>() + i * width);
  }
  model.release(table);
  if (type) out = as_stored(out, *type, table.name);
  if (model.config().embedding_multiplier == 1.0f) return out;
  return out * static_cast<double>(model.config().embedding_multiplier);
}

}  // namespace tercet::learn
