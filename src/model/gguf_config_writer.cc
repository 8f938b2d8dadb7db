// SPDX-License-Identifier: Apache-2.0
#include "model/gguf_architectures.h"
#include "model/gguf_model.h"

namespace tercet {
namespace {

class Writer {
 public:
  Writer(GgufWriter& writer, const ModelConfig& config, const std::string& architecture)
      : writer_(writer), config_(config), architecture_(architecture) {}

  void write() {
    writer_.set("general.architecture", GgufValue::string(architecture_));
    write_shape();
    write_rope();
    if (config_.sliding_window > 0) write_windows();
    writer_.set(kLinearKey, GgufValue::string(to_string(config_.linear)));
    if (architecture_ == kArchTercet) write_own_features();
    writer_.set("tercet.bos_token_id", GgufValue::i32(config_.bos_token_id));
    writer_.set("tercet.eos_token_ids", GgufValue::i32s(config_.eos_token_ids));
  }

 private:
  std::string key(const char* name) const { return architecture_ + "." + name; }

  void count(const char* name, int64_t value) {
    writer_.set(key(name), GgufValue::u32(static_cast<uint32_t>(value)));
  }
  void real(const char* name, float value) { writer_.set(key(name), GgufValue::f32(value)); }
  void text(const char* name, const char* value) {
    writer_.set(key(name), GgufValue::string(value));
  }

  void write_shape() {
    count("vocab_size", config_.vocab_size);
    count("context_length", config_.max_position_embeddings);
    count("embedding_length", config_.hidden_size);
    count("block_count", config_.num_hidden_layers);
    count("feed_forward_length", config_.intermediate_size);
    count("attention.head_count", config_.num_attention_heads);
    count("attention.head_count_kv", config_.num_key_value_heads);
    count("attention.key_length", config_.head_dim);
    count("attention.value_length", config_.head_dim);
    real("attention.layer_norm_rms_epsilon", config_.rms_norm_eps);
  }

  void write_rope() {
    count("rope.dimension_count", config_.rotary_dimensions());
    real("rope.freq_base", config_.rope_theta);
    const RopeScaling& scaling = config_.rope_scaling;
    switch (scaling.type) {
      case RopeType::kDefault:
        return;
      case RopeType::kLinear:
        text("rope.scaling.type", "linear");
        real("rope.scaling.factor", scaling.factor);
        return;
      case RopeType::kLlama3:
        // The factors are a tensor; here is how they were made, which HF files want to know.
        if (scaling.original_max_position_embeddings > 0) write_llama3();
        return;
      case RopeType::kYarn:
        write_yarn();
        return;
    }
  }

  void write_llama3() {
    const RopeScaling& scaling = config_.rope_scaling;
    writer_.set("tercet.rope.llama3.factor", GgufValue::f32(scaling.factor));
    writer_.set("tercet.rope.llama3.low_freq_factor", GgufValue::f32(scaling.low_freq_factor));
    writer_.set("tercet.rope.llama3.high_freq_factor", GgufValue::f32(scaling.high_freq_factor));
    writer_.set("tercet.rope.llama3.original_context_length",
                GgufValue::u32(static_cast<uint32_t>(scaling.original_max_position_embeddings)));
  }

  void write_yarn() {
    const RopeScaling& scaling = config_.rope_scaling;
    text("rope.scaling.type", "yarn");
    real("rope.scaling.factor", scaling.factor);
    count("rope.scaling.original_context_length", scaling.original_max_position_embeddings);
    const float implied = yarn_attention_factor(scaling.factor);
    if (scaling.attention_factor != implied) {
      real("rope.scaling.attn_factor", scaling.attention_factor / implied);
    }
    if (architecture_ != kArchTercet) return;
    real("rope.scaling.yarn_beta_fast", scaling.beta_fast);
    real("rope.scaling.yarn_beta_slow", scaling.beta_slow);
    real("rope.scaling.attention_factor", scaling.attention_factor);
    writer_.set(key("rope.scaling.truncate"), GgufValue::boolean(scaling.truncate));
  }

  void write_windows() {
    count("attention.sliding_window", config_.sliding_window);
    if (architecture_ != kArchTercet || config_.sliding_layers.empty()) return;
    std::vector<int32_t> layers;
    for (const bool sliding : config_.sliding_layers) layers.push_back(sliding ? 1 : 0);
    writer_.set(key("attention.sliding_layers"), GgufValue::i32s(layers));
  }

  // Biases and the norms of heads need no key: their tensors tell.
  void write_own_features() {
    text("hidden_act", to_string(config_.hidden_act));
    text("norm", to_string(config_.norm));
    writer_.set(key("zero_centered_norms"), GgufValue::boolean(config_.zero_centered_norms));
    real("embedding_scale", config_.embedding_multiplier);
    if (config_.attention_scale != 0.0f) real("attention.scale", config_.attention_scale);
    if (config_.rope_local_theta != 0.0f) real("rope.freq_base_swa", config_.rope_local_theta);
    if (config_.variants.any()) write_variants(config_.variants);
  }

  void write_variants(const BitnetVariants& variants) {
    count("activation_bits", variants.activation_bits);
    real("o_proj_top_k", variants.o_proj_top_k);
    writer_.set(key("hadamard"), GgufValue::boolean(variants.hadamard));
    count("quant_groups", variants.quant_groups);
    writer_.set(key("shifted_gate_input"), GgufValue::boolean(variants.shifted_gate_input));
  }

  GgufWriter& writer_;
  const ModelConfig& config_;
  const std::string& architecture_;
};

}  // namespace

void set_gguf_config(GgufWriter& writer, const ModelConfig& config,
                     const std::string& architecture) {
  Writer(writer, config, architecture).write();
}

}  // namespace tercet
