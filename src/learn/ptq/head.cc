// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/head.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "learn/nn/ops.h"
#include "learn/ptq/block.h"

namespace tercet::learn {
ModelHead::ModelHead(const HfModel& model, std::optional<DType> type)
    : eps_(static_cast<double>(model.config().rms_norm_eps)) {
  norm_ = read_tensor(model, "model.norm.weight");
  if (model.config().zero_centered_norms) norm_ += 1;
  matrix_ = read_tensor(
      model, model.config().tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight",
      type);
}

at::Tensor ModelHead::log_probabilities(const at::Tensor& r, at::ScalarType compute) const {
  const at::Tensor x = rms_normed(r, norm_, eps_);
  return at::log_softmax(
      compute == at::kFloat ? at::matmul(x, matrix_.t()) : dense_linear(x, {matrix_}, compute), -1);
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
