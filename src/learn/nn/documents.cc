// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/documents.h"

#include <ATen/ATen.h>

namespace tercet::learn {

std::shared_ptr<const Documents> find_documents(const at::Tensor& inputs, int64_t eos_id,
                                                at::Device device) {
  const at::Tensor tokens = inputs.contiguous();
  const int64_t* ids = tokens.data_ptr<int64_t>();
  const int64_t rows = tokens.numel();
  const int64_t length = tokens.size(1);
  auto documents = std::make_shared<Documents>();
  const at::Tensor index = at::empty(tokens.sizes(), at::kLong);
  const at::Tensor position = at::empty(tokens.sizes(), at::kLong);
  for (int64_t row = 0; row < rows; ++row) {
    const bool begins = row % length == 0 || ids[row - 1] == eos_id;
    if (begins) documents->spans.push_back({row, 0});
    Span& span = documents->spans.back();
    index.data_ptr<int64_t>()[row] = static_cast<int64_t>(documents->spans.size()) - 1;
    position.data_ptr<int64_t>()[row] = span.length++;
    documents->targets += ids[row] == eos_id ? 0 : 1;
  }
  documents->ends = tokens.eq(eos_id).to(device);
  documents->index = index.to(device);
  documents->position = position.to(device);
  return documents;
}

}  // namespace tercet::learn
