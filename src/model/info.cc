// SPDX-License-Identifier: Apache-2.0
#include "model/info.h"

#include <utility>

#include "model/kv_cache.h"
#include "packing/ternary.h"

namespace tercet {
namespace {

TensorInfo describe_tensor(const WeightSource& source, const TensorSpec& spec) {
  TensorInfo info;
  info.name = spec.gguf_name;
  info.type = source.stored_type_name(spec);
  if (spec.rows > 0) info.shape.push_back(spec.rows);
  info.shape.push_back(spec.cols);
  info.bytes = source.stored_bytes(spec);
  info.is_linear = spec.rows > 0 && spec.gguf_name.starts_with("blk.");
  return info;
}

// The tied head is the embedding itself and counts once.
uint64_t bytes_in_memory(const ModelWeights& weights, bool tied) {
  uint64_t total = weights.embedding.stored_bytes + (tied ? 0 : weights.head.stored_bytes);
  for (const LayerWeights& layer : weights.layers) {
    for (const LinearWeights* w :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      total += w->stored_bytes + w->vector_bytes();
    }
    for (const auto* norm :
         {&layer.attention_norm, &layer.q_norm, &layer.k_norm, &layer.attention_sub_norm,
          &layer.post_attention_norm, &layer.ffn_norm, &layer.ffn_sub_norm, &layer.post_ffn_norm}) {
      total += norm->size() * sizeof(float);
    }
  }
  return total + (weights.final_norm.size() + weights.rope_factors.size()) * sizeof(float);
}

}  // namespace

ModelInfo describe(const Model& model) {
  const WeightSource& source = model.source();
  ModelInfo info;
  info.path = model.path();
  info.name = source.display_name();
  info.format = source.format();
  info.architecture = source.architecture();
  info.config = model.config();
  info.file_bytes = source.file_bytes();
  uint64_t linear_bytes = 0;
  uint64_t all_bytes = 0;
  for (const TensorSpec& spec : tensor_specs(info.config)) {
    TensorInfo tensor = describe_tensor(source, spec);
    all_bytes += tensor.bytes;
    if (tensor.is_linear) linear_bytes += tensor.bytes;
    info.tensors.push_back(std::move(tensor));
  }
  info.parameters = info.config.parameter_count();
  info.linear_parameters = info.config.linear_parameter_count();
  info.linear_bits_per_weight = packing::bits_per_weight(linear_bytes, 1, info.linear_parameters);
  info.model_bits_per_weight = packing::bits_per_weight(all_bytes, 1, info.parameters);
  if (model.tokenizer() != nullptr) info.tokenizer_pieces = model.tokenizer()->vocab_size();
  info.tokenizer_note = model.tokenizer_note();
  info.weight_bytes = bytes_in_memory(model.weights(), info.config.tie_word_embeddings);
  info.kv_cache_bytes =
      KvCache::bytes_for(info.config, info.config.max_position_embeddings, KvType::kF16);
  return info;
}

}  // namespace tercet
