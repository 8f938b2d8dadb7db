// SPDX-License-Identifier: Apache-2.0
#include "model/token_cost.h"

namespace tercet {
namespace {

uint64_t bytes_of(const PackedModel& packed, const LinearWeights& matrix) {
  const uint64_t rest = matrix.vector_bytes();
  const PackedMatrix* panels = packed.find(matrix);
  if (panels != nullptr) return panels->bytes() + rest;
  return static_cast<uint64_t>(matrix.rows * matrix.row_stride) + matrix.scales.size_bytes() + rest;
}

void add_layer(const PackedModel& packed, const LayerWeights& layer, TokenCost& cost) {
  for (const LinearWeights* matrix :
       {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
    cost.weight_bytes += bytes_of(packed, *matrix);
    if (matrix->int8_activations) cost.int8_macs += matrix->rows * matrix->cols;
  }
  for (const auto* norm :
       {&layer.attention_norm, &layer.q_norm, &layer.k_norm, &layer.attention_sub_norm,
        &layer.post_attention_norm, &layer.ffn_norm, &layer.ffn_sub_norm, &layer.post_ffn_norm}) {
    cost.weight_bytes += norm->size() * sizeof(float);
  }
}

}  // namespace

TokenCost token_cost(const PackedModel& packed) {
  const ModelWeights& weights = packed.model().weights();
  TokenCost cost;
  for (const LayerWeights& layer : weights.layers) add_layer(packed, layer, cost);
  const PackedHead* head = packed.head();
  cost.head_bytes = head != nullptr ? head->upper_bytes() : bytes_of(packed, weights.head);
  cost.weight_bytes += cost.head_bytes + weights.final_norm.size() * sizeof(float);
  return cost;
}

}  // namespace tercet
