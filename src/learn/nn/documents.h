// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace tercet::learn {

// Rows [begin, begin + length) of the [batch * length] rows of a batch.
struct Span {
  int64_t begin = 0;
  int64_t length = 0;
};

// The documents, or parts of them, that the sequences of a batch are packed from, for training
// without attention across documents: tokens see only their own document, and positions begin at 0
// in each. A document ends with its EOS token. What follows EOS belongs to another document, which
// nothing here tells anything about, so the target of an EOS token is not counted; nor is a model
// asked for it when it generates, since that ends at EOS.
struct Documents {
  std::vector<Span> spans;  // in order; together all rows, none across two sequences
  int64_t targets = 0;      // that count: rows that are not EOS
  // On the device of the model, [batch, length] each.
  at::Tensor ends;      // bool: the row is EOS
  at::Tensor index;     // int64: which span the row lies in
  at::Tensor position;  // int64: in its span
};

// inputs: [batch, length] int64 on the CPU.
std::shared_ptr<const Documents> find_documents(const at::Tensor& inputs, int64_t eos_id,
                                                at::Device device);

}  // namespace tercet::learn
