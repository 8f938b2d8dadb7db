// SPDX-License-Identifier: Apache-2.0
#include "model/gguf_model.h"

#include <cmath>

#include "model/gguf_architectures.h"

namespace tercet {
namespace {

// No other reader has a key for these.
bool has_common_features(const ModelConfig& config) {
  const RopeScaling defaults;
  const RopeScaling& scaling = config.rope_scaling;
  const bool plain_ramp = scaling.truncate && scaling.beta_fast == defaults.beta_fast &&
                          scaling.beta_slow == defaults.beta_slow;
  // llama.cpp asserts that heads rotate as a whole.
  return plain_ramp && config.rotary_dimensions() == config.head_dim;
}

bool slides(const ModelConfig& config) {
  return config.sliding_window > 0 && config.sliding_window < config.max_position_embeddings;
}

bool is_square(const ModelConfig& config) {
  return config.num_attention_heads * config.head_dim == config.hidden_size;
}

// What llama, qwen2, qwen3 and the bitnets have in common, but for biases and norms.
bool has_plain_attention(const ModelConfig& config) {
  return has_common_features(config) && !slides(config) && config.attention_scale == 0.0f &&
         config.embedding_multiplier == 1.0f && config.rope_local_theta == 0.0f &&
         !config.zero_centered_norms;
}

bool is_gemma3(const ModelConfig& config) {
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (config.is_sliding(layer) != ((layer + 1) % kGemma3Pattern != 0)) return false;
  }
  return has_common_features(config) && config.linear == LinearKind::kDense &&
         config.norm == NormPlacement::kSandwich && config.hidden_act == Activation::kGeluTanh &&
         config.qk_norm && config.zero_centered_norms && !config.attention_bias &&
         !config.output_bias && !config.mlp_bias && config.rope_scaling.type != RopeType::kLlama3 &&
         config.rope_scaling.type != RopeType::kYarn &&
         config.embedding_multiplier == gemma_embedding_multiplier(config.hidden_size) &&
         config.attention_scale == gemma3_attention_scale(config) &&
         config.rope_local_theta == kGemma3LocalTheta;
}

// Blocks as LLaMA's.
std::string llama_like_architecture(const ModelConfig& config) {
  const bool factors = config.rope_scaling.type == RopeType::kLlama3;
  const bool no_bias = !config.attention_bias && !config.output_bias && !config.mlp_bias;
  // llama.cpp multiplies biases too by the scale that stands beside ternary blocks.
  if (config.linear != LinearKind::kDense && !no_bias) return kArchTercet;
  if (config.qk_norm) return no_bias && !factors ? kArchQwen3 : kArchTercet;
  const bool qwen2_bias = config.attention_bias && !config.output_bias && !config.mlp_bias;
  return qwen2_bias && !factors && is_square(config) ? kArchQwen2 : kArchLlama;
}

}  // namespace

float gemma3_attention_scale(const ModelConfig& config) {
  constexpr int64_t kLayersOf27B = 62;
  const int64_t heads = config.num_attention_heads;
  const int64_t divisor = config.num_hidden_layers == kLayersOf27B && heads > 0
                              ? config.hidden_size / heads
                              : config.head_dim;
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(divisor)));
}

float yarn_attention_factor(float factor) {
  return factor <= 1.0f ? 1.0f
                        : static_cast<float>(0.1 * std::log(static_cast<double>(factor)) + 1.0);
}

std::string gguf_architecture(const ModelConfig& config, StoredType linear) {
  const bool dense = config.linear == LinearKind::kDense;
  const bool silu = config.hidden_act == Activation::kSilu;
  if (is_own(linear) || config.variants.any()) return kArchTercet;
  if (config.linear == LinearKind::kB1 || config.linear == LinearKind::kOneBit) return kArchTercet;
  if (is_gemma3(config)) return kArchGemma3;
  if (!has_plain_attention(config)) return kArchTercet;
  if (config.norm == NormPlacement::kPre && silu) {
    return llama_like_architecture(config);
  }
  // The other readers of these two use the embedding as head whatever the file holds.
  // They also size the attention sub-norm by the hidden size.
  const bool as_bitnet = !dense && config.norm == NormPlacement::kSub &&
                         config.tie_word_embeddings && is_square(config) && !config.qk_norm &&
                         !config.attention_bias && !config.output_bias && !config.mlp_bias &&
                         config.rope_scaling.type != RopeType::kLlama3 &&
                         config.hidden_act != Activation::kGeluTanh;
  if (!as_bitnet) return kArchTercet;
  return silu ? kArchBitnet : kArchBitnet2B;
}

RopeOrder rope_order_of(const std::string& architecture) {
  return architecture == kArchLlama ? RopeOrder::kAdjacent : RopeOrder::kHalfSplit;
}

std::string scale_tensor_name(const std::string& weight_name) {
  constexpr std::string_view kSuffix = ".weight";
  std::string base = weight_name;
  if (base.ends_with(kSuffix)) base.resize(base.size() - kSuffix.size());
  return base + ".scale";
}

}  // namespace tercet
