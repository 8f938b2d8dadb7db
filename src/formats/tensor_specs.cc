// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "formats/model_config.h"

namespace tercet {
namespace {

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
    const bool sub = config_.norm == NormPlacement::kSub;
    const bool pre = config_.norm != NormPlacement::kInside;

    if (pre) norm("input_layernorm", "attn_norm", hidden);
    linear("self_attn.q_proj", "attn_q", attention, hidden);
    linear("self_attn.k_proj", "attn_k", key_value, hidden);
    linear("self_attn.v_proj", "attn_v", key_value, hidden);
    if (sub) norm("self_attn.attn_sub_norm", "attn_sub_norm", attention);
    linear("self_attn.o_proj", "attn_output", hidden, attention);
    if (pre) norm("post_attention_layernorm", "ffn_norm", hidden);
    linear("mlp.gate_proj", "ffn_gate", config_.intermediate_size, hidden);
    linear("mlp.up_proj", "ffn_up", config_.intermediate_size, hidden);
    if (sub) norm("mlp.ffn_sub_norm", "ffn_sub_norm", config_.intermediate_size);
    linear("mlp.down_proj", "ffn_down", hidden, config_.intermediate_size);
  }

 private:
  void norm(const std::string& hf, const std::string& gguf, int64_t length) {
    out_.push_back(
        {hf_prefix_ + hf + ".weight", gguf_prefix_ + gguf + ".weight", 0, length, false});
  }

  void linear(const std::string& hf, const std::string& gguf, int64_t rows, int64_t cols) {
    if (config_.norm == NormPlacement::kInside) norm(hf + ".rms_norm", gguf + ".input_norm", cols);
    out_.push_back({hf_prefix_ + hf + ".weight", gguf_prefix_ + gguf + ".weight", rows, cols,
                    config_.linear == LinearKind::kB158});
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
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    LayerSpecs(config, layer, out).add();
  }
  out.push_back({"model.norm.weight", "output_norm.weight", 0, config.hidden_size, false});
  if (!config.tie_word_embeddings) {
    out.push_back(
        {"lm_head.weight", "output.weight", config.vocab_size, config.hidden_size, false});
  }
  return out;
}

int64_t ModelConfig::parameter_count() const {
  int64_t count = 0;
  for (const TensorSpec& spec : tensor_specs(*this)) {
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
