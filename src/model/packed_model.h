// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <unordered_map>

#include "core/aligned_buffer.h"
#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "model/packed_head.h"
#include "model/packed_matrix.h"

namespace tercet {

// The matrices of a model in the order of one kernel table, one after the other in the order in
// which a forward pass reads them. Immutable; safe to share between threads. The model and the
// table must outlive it.
class PackedModel {
 public:
  // Tells the model's source that it no longer needs the stored form of what is packed. Throws
  // kUnsupported naming a tensor that the kernels cannot serve, kInternal when a kernel computes
  // wrongly here, kIo when memory lacks.
  PackedModel(const Model& model, const KernelTable& kernels, ThreadPool& pool,
              HeadPrecision head = HeadPrecision::kStored);
  PackedModel(const PackedModel&) = delete;
  PackedModel& operator=(const PackedModel&) = delete;

  const Model& model() const { return model_; }
  const KernelTable& kernels() const { return kernels_; }
  // nullptr for a matrix that runs as it is stored.
  const PackedMatrix* find(const LinearWeights& weights) const;
  // nullptr when the head runs as it is stored.
  const PackedHead* head() const { return head_ ? &*head_ : nullptr; }
  uint64_t bytes() const { return memory_.size() + (head_ ? head_->bytes() : 0); }

 private:
  const Model& model_;
  const KernelTable& kernels_;
  AlignedBuffer memory_;
  // By the address of the stored codes, which layers may share.
  std::unordered_map<const uint8_t*, PackedMatrix> matrices_;
  std::optional<PackedHead> head_;
};

}  // namespace tercet
