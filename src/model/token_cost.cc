// SPDX-License-Identifier: Apache-2.0
#include "model/token_cost.h"

namespace tercet {
namespace {

uint64_t bytes_of(const LinearWeights& matrix) {
  const auto codes = static_cast<uint64_t>(matrix.rows * matrix.row_stride);
  return codes + matrix.scales.size_bytes() +
         (matrix.input_norm.size() + matrix.bias.size()) * sizeof(float);
}

void add_layer(const LayerWeights& layer, TokenCost& cost) {
  for (const LinearWeights* matrix :
       {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
    cost.weight_bytes += bytes_of(*matrix);
    if (matrix->int8_activations) cost.int8_macs += matrix->rows * matrix->cols;
  }
  for (const auto* norm :
       {&layer.attention_norm, &layer.q_norm, &layer.k_norm, &layer.attention_sub_norm,
        &layer.post_attention_norm, &layer.ffn_norm, &layer.ffn_sub_norm, &layer.post_ffn_norm}) {
    cost.weight_bytes += norm->size() * sizeof(float);
  }
}

}  // namespace

TokenCost token_cost(const Model& model) {
  TokenCost cost;
  for (const LayerWeights& layer : model.weights().layers) add_layer(layer, cost);
  cost.head_bytes = bytes_of(model.weights().head);
  cost.weight_bytes += cost.head_bytes + model.weights().final_norm.size() * sizeof(float);
  return cost;
}

}  // namespace tercet
