// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/stored_matrix.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "packing/quant_blocks.h"

namespace tercet::learn {
namespace {

constexpr int64_t kFloatsAtOnce = int64_t{1} << 22;
constexpr std::array<DType, 5> kTypes = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0,
                                         DType::kQ6_K};

int64_t block_of(DType type) {
  if (type == DType::kQ8_0) return 32;
  return type == DType::kQ6_K ? 256 : 1;
}

void check_width(DType type, const char* option, const char* instead, int64_t cols,
                 const std::string& origin) {
  if (cols % block_of(type) == 0) return;
  fail(ErrorCode::kUsage,
       "{} {} needs rows of a multiple of {}, those of embedding and head of '{}' have {} columns; "
       "use {}",
       option, to_string(type), block_of(type), origin, cols, instead);
}

const char* instead_of(DType type, int64_t cols) {
  return type == DType::kQ6_K && cols % block_of(DType::kQ8_0) == 0 ? "q8_0" : "f16";
}

std::vector<float> through_q6_k(std::span<const float> values, const std::string& name) {
  const packing::BlockShape shape = packing::block_shape(packing::BlockType::kQ6_K);
  const int64_t count = std::ssize(values);
  std::vector<uint8_t> blocks(static_cast<size_t>(count / shape.elements * shape.bytes));
  if (!packing::encode_q6_k(values.data(), count, blocks.data())) {
    fail(ErrorCode::kBadInput, "'{}' holds a value that is not finite or too large for q6_k", name);
  }
  std::vector<float> out(values.size());
  packing::decode_blocks(packing::BlockType::kQ6_K, blocks.data(), count, out.data());
  return out;
}

}  // namespace

DType parse_rest_type(const std::string& text, const char* option) {
  for (const DType type : kTypes) {
    if (text == to_string(type)) return type;
  }
  fail(ErrorCode::kUsage, "{} is '{}'; f32, f16, bf16, q8_0 or q6_k", option, text);
}

void check(const RestTypes& types, const ModelConfig& config, const std::string& origin) {
  const int64_t cols = config.hidden_size;
  if (types.head) {
    check_width(*types.head, "--head-type", instead_of(*types.head, cols), cols, origin);
  }
  if (types.embedding) {
    check_width(*types.embedding, "--embedding-type", instead_of(*types.embedding, cols), cols,
                origin);
  }
  if (!config.tie_word_embeddings || types.head == types.embedding) return;
  fail(ErrorCode::kUsage,
       "embedding and head of '{}' are one matrix; leave out --embedding-type, --head-type is for "
       "both",
       origin);
}

at::Tensor as_stored(const at::Tensor& matrix, DType type, const std::string& name) {
  if (type == DType::kF32) return matrix;
  const at::Tensor rows = matrix.contiguous();
  const std::span<const float> values(rows.data_ptr<float>(), static_cast<size_t>(rows.numel()));
  std::vector<float> back;
  if (type == DType::kQ6_K) {
    back = through_q6_k(values, name);
  } else {
    const std::vector<uint8_t> bytes = from_f32(values, type, rows.size(-1), name);
    back = to_f32({name, type, {rows.numel() / rows.size(-1), rows.size(-1)}, bytes});
  }
  return at::from_blob(back.data(), rows.sizes(), at::kFloat).clone();
}

at::Tensor read_tensor(const HfModel& model, const std::string& name, std::optional<DType> type) {
  const TensorView& view = model.tensor(name);
  const int64_t cols = view.shape.back();
  const int64_t rows = view.elements() / cols;
  const int64_t step = std::max<int64_t>(kFloatsAtOnce / cols, 1);
  const size_t row_bytes = view.bytes.size() / static_cast<size_t>(rows);
  const at::Tensor out = at::empty(view.shape, at::kFloat);
  const at::Tensor matrix = out.view({rows, cols});
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first);
    std::vector<float> part = to_f32({view.name,
                                      view.type,
                                      {count, cols},
                                      view.bytes.subspan(static_cast<size_t>(first) * row_bytes,
                                                         static_cast<size_t>(count) * row_bytes)});
    const at::Tensor values = at::from_blob(part.data(), {count, cols}, at::kFloat);
    matrix.narrow(0, first, count).copy_(type ? as_stored(values, *type, name) : values);
  }
  model.release(view);
  return out;
}

}  // namespace tercet::learn
