// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "core/error.h"
#include "formats/model_config.h"

namespace tercet {
namespace {

float norm_offset(const ModelConfig& config) { return config.zero_centered_norms ? 1.0f : 0.0f; }

// Adds the tensors of one layer. Names are completed by the prefixes of the layer in both formats.
class LayerSpecs {
 public:
  LayerSpecs(const ModelConfig& config, int64_t layer, std::vector<TensorSpec>& out)
      : config_(config),
        hf_prefix_(fmt::format("model.layers.{}.", layer)),
        gguf_prefix_(fmt::format("blk.{}.", layer)),
        out_(out) {}

  void add() {
    const int64_t hidden = config_.hidden_size;
    const int64_t attention = config_.num_attention_heads * config_.head_dim;
    const int64_t key_value = config_.num_key_value_heads * config_.head_dim;
    const int64_t inner = config_.intermediate_size;
    const bool sub = config_.norm == NormPlacement::kSub;
    const bool blocks = has_block_norms(config_.norm);
    const bool sandwich = config_.norm == NormPlacement::kSandwich;

    if (blocks) norm("input_layernorm", "attn_norm", hidden);
    linear("self_attn.q_proj", "attn_q", attention, hidden, config_.attention_bias);
    linear("self_attn.k_proj", "attn_k", key_value, hidden, config_.attention_bias);
    linear("self_attn.v_proj", "attn_v", key_value, hidden, config_.attention_bias);
    if (config_.qk_norm) {
      norm("self_attn.q_norm", "attn_q_norm", config_.head_dim);
      norm("self_attn.k_norm", "attn_k_norm", config_.head_dim);
    }
    if (sub) norm("self_attn.attn_sub_norm", "attn_sub_norm", attention);
    linear("self_attn.o_proj", "attn_output", hidden, attention, config_.output_bias);
    if (sandwich) norm("post_attention_layernorm", "post_attention_norm", hidden);
    // LLaMA's name for the norm before feed-forward means the one behind attention in Gemma's.
    if (blocks) {
      norm(sandwich ? "pre_feedforward_layernorm" : "post_attention_layernorm", "ffn_norm", hidden);
    }
    linear("mlp.gate_proj", "ffn_gate", inner, hidden, config_.mlp_bias);
    linear("mlp.up_proj", "ffn_up", inner, hidden, config_.mlp_bias);
    if (sub) norm("mlp.ffn_sub_norm", "ffn_sub_norm", inner);
    linear("mlp.down_proj", "ffn_down", hidden, inner, config_.mlp_bias);
    if (sandwich) norm("post_feedforward_layernorm", "post_ffw_norm", hidden);
  }

 private:
  void vector(const std::string& hf, const std::string& gguf, int64_t length, float offset) {
    out_.push_back({hf_prefix_ + hf, gguf_prefix_ + gguf, 0, length, false, offset});
  }

  void norm(const std::string& hf, const std::string& gguf, int64_t length) {
    vector(hf + ".weight", gguf + ".weight", length, norm_offset(config_));
  }

  void linear(const std::string& hf, const std::string& gguf, int64_t rows, int64_t cols,
              bool bias) {
    if (has_input_norms(config_.norm)) norm(hf + ".rms_norm", gguf + ".input_norm", cols);
    const bool low_bit = is_low_bit(hf_prefix_ + hf);
    if (low_bit && config_.linear == LinearKind::kOneBit) {
      vector(hf + ".input_scale", gguf + ".input_scale", cols, 0.0f);
    }
    out_.push_back(
        {hf_prefix_ + hf + ".weight", gguf_prefix_ + gguf + ".weight", rows, cols, low_bit});
    if (bias) vector(hf + ".bias", gguf + ".bias", rows, 0.0f);
  }

  bool is_low_bit(const std::string& module) const {
    const std::vector<std::string>& dense = config_.dense_maps;
    return has_low_bit_maps(config_.linear) &&
           !std::binary_search(dense.begin(), dense.end(), module);
  }

  const ModelConfig& config_;
  std::string hf_prefix_;
  std::string gguf_prefix_;
  std::vector<TensorSpec>& out_;
};

}  // namespace

std::vector<TensorSpec> tensor_specs(const ModelConfig& config) {
  std::vector<TensorSpec> out;
  out.push_back({"model.embed_tokens.weight", "token_embd.weight", config.vocab_size,
                 config.hidden_size, false});
  if (config.rope_scaling.type == RopeType::kLlama3) {
    out.push_back({"", "rope_freqs.weight", 0, config.rotary_dimensions() / 2, false});
  }
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    LayerSpecs(config, layer, out).add();
  }
  out.push_back({"model.norm.weight", "output_norm.weight", 0, config.hidden_size, false,
                 norm_offset(config)});
  if (!config.tie_word_embeddings) {
    out.push_back(
        {"lm_head.weight", "output.weight", config.vocab_size, config.hidden_size, false});
  }
  return out;
}

std::vector<float> llama3_frequency_factors(const ModelConfig& config) {
  const RopeScaling& scaling = config.rope_scaling;
  const int64_t dimensions = config.rotary_dimensions();
  std::vector<float> factors(static_cast<size_t>(dimensions / 2), 1.0f);
  if (scaling.type != RopeType::kLlama3) return factors;
  if (scaling.original_max_position_embeddings == 0) {
    fail(ErrorCode::kUnsupported,
         "the rotary frequency factors come from a file that does not say how they were made; "
         "they cannot be stated in other terms");
  }
  const double context = static_cast<double>(scaling.original_max_position_embeddings);
  const double low = static_cast<double>(scaling.low_freq_factor);
  const double high = static_cast<double>(scaling.high_freq_factor);
  const double factor = static_cast<double>(scaling.factor);
  for (size_t i = 0; i < factors.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(dimensions);
    const double wavelength =
        2.0 * std::numbers::pi * std::pow(static_cast<double>(config.rope_theta), exponent);
    // 0 below the low frequencies' bound, 1 above the high ones'.
    const double kept = std::clamp((context / wavelength - low) / (high - low), 0.0, 1.0);
    factors[i] = static_cast<float>(1.0 / ((1.0 - kept) / factor + kept));
  }
  return factors;
}

int64_t ModelConfig::parameter_count() const {
  int64_t count = 0;
  for (const TensorSpec& spec : tensor_specs(*this)) {
    if (spec.hf_name.empty()) continue;  // no parameters, but what follows from the configuration
    count += std::max<int64_t>(spec.rows, 1) * spec.cols;
  }
  return count;
}

int64_t ModelConfig::linear_parameter_count() const {
  const int64_t attention = num_attention_heads * head_dim;
  const int64_t key_value = num_key_value_heads * head_dim;
  const int64_t per_layer =
      hidden_size * (2 * attention + 2 * key_value) + 3 * hidden_size * intermediate_size;
  return num_hidden_layers * per_layer;
}

}  // namespace tercet
