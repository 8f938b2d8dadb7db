// SPDX-License-Identifier: Apache-2.0
#include "model/packed_model.h"

#include <span>
#include <unordered_set>
#include <vector>

#include "kernels/self_test.h"

namespace tercet {
namespace {

size_t round_up(size_t bytes) {
  constexpr size_t kStep = AlignedBuffer::kAlignment;
  return (bytes + kStep - 1) / kStep * kStep;
}

struct Part {
  const TensorSpec* spec;
  const LinearWeights* weights;
  size_t bytes;
};

std::vector<Part> parts_of(const Model& model, const std::vector<TensorSpec>& specs,
                           const KernelTable& kernels) {
  std::vector<Part> parts;
  std::unordered_set<const uint8_t*> seen;
  for (const TensorSpec& spec : specs) {
    const LinearWeights* weights = find_matrix(model.weights(), spec.gguf_name);
    if (weights == nullptr || !weights->int8_activations) continue;
    if (!seen.insert(weights->data.data()).second) continue;
    parts.push_back({&spec, weights, round_up(PackedMatrix::code_bytes(*weights, kernels))});
  }
  return parts;
}

}  // namespace

PackedModel::PackedModel(const Model& model, const KernelTable& kernels, ThreadPool& pool,
                         HeadPrecision head)
    : model_(model), kernels_(kernels) {
  check_kernels(kernels);
  const std::vector<TensorSpec> specs = tensor_specs(model.config());
  const std::vector<Part> parts = parts_of(model, specs, kernels);
  size_t total = 0;
  for (const Part& part : parts) total += part.bytes;
  memory_ = AlignedBuffer(total);
  size_t offset = 0;
  for (const Part& part : parts) {
    const size_t bytes = PackedMatrix::code_bytes(*part.weights, kernels);
    matrices_.emplace(
        part.weights->data.data(),
        PackedMatrix(*part.weights, kernels, pool, memory_.bytes().subspan(offset, bytes)));
    offset += part.bytes;
    model.source().release(*part.spec);
  }
  if (head == HeadPrecision::kStored) return;
  // Of a tied head, rows are still looked up as embeddings; the pages of others stay away.
  const auto forget = [&] {
    for (const TensorSpec& spec : specs) {
      const bool is_head =
          spec.gguf_name == "output.weight" || spec.gguf_name == "token_embd.weight";
      if (is_head) model.source().release(spec);
    }
  };
  head_.emplace(model.weights().head, head, kernels, pool, forget);
}

const PackedMatrix* PackedModel::find(const LinearWeights& weights) const {
  const auto found = matrices_.find(weights.data.data());
  return found == matrices_.end() ? nullptr : &found->second;
}

}  // namespace tercet
