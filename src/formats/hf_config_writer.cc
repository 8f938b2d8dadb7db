// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <utility>

#include "core/error.h"
#include "formats/hf_model.h"

namespace tercet {
namespace {

// A double that reads back as exactly `value` and prints as briefly as the float itself ("1e-05"
// instead of "9.999999747378752e-06").
double shortest(float value) {
  const double brief = std::strtod(fmt::format("{}", value).c_str(), nullptr);
  return static_cast<float>(brief) == value ? brief : static_cast<double>(value);
}

double query_scalar(const ModelConfig& config) {
  const double scale = static_cast<double>(config.attention_scale);
  return scale == 0.0 ? static_cast<double>(config.head_dim) : 1.0 / (scale * scale);
}

// transformers keeps Gemma's scalar as a whole number.
bool has_whole_query_scalar(const ModelConfig& config) {
  const double whole = std::round(query_scalar(config));
  return config.attention_scale == 0.0f ||
         static_cast<float>(1.0 / std::sqrt(whole)) == config.attention_scale;
}

// What all families but Gemma's have in common.
bool has_plain_attention(const ModelConfig& config) {
  return !config.zero_centered_norms && config.embedding_multiplier == 1.0f &&
         config.attention_scale == 0.0f && config.rope_local_theta == 0.0f;
}

bool is_gemma3(const ModelConfig& config) {
  return config.norm == NormPlacement::kSandwich && config.qk_norm && config.zero_centered_norms &&
         config.embedding_multiplier == gemma_embedding_multiplier(config.hidden_size) &&
         has_whole_query_scalar(config) && config.rope_local_theta != 0.0f && !config.mlp_bias &&
         config.attention_bias == config.output_bias &&
         config.hidden_size % config.num_attention_heads == 0;
}

bool is_bitnet(const ModelConfig& config) {
  // Its attention norm has hidden_size weights, whatever the heads are.
  const bool square = config.num_attention_heads * config.head_dim == config.hidden_size;
  return config.norm == NormPlacement::kSub && config.linear == LinearKind::kB158 && square &&
         has_plain_attention(config) && !config.qk_norm && !config.mlp_bias &&
         config.sliding_window == 0 && config.attention_bias == config.output_bias;
}

// The types whose blocks are LLaMA's.
const char* llama_like(const ModelConfig& config) {
  const bool no_bias = !config.attention_bias && !config.output_bias && !config.mlp_bias;
  const bool same_bias = config.attention_bias == config.output_bias;
  if (config.qk_norm) return same_bias && !config.mlp_bias ? "qwen3" : "tercet";
  if (config.attention_bias && !config.output_bias) return config.mlp_bias ? "tercet" : "qwen2";
  const bool divides = config.hidden_size % config.num_attention_heads == 0;
  if (config.sliding_window == 0 && same_bias && divides) return "llama";
  return no_bias && config.sliding_layers.empty() ? "mistral" : "tercet";
}

// The model type under which transformers computes what `config` means; "tercet" when none does.
const char* model_type_of(const ModelConfig& config) {
  if (config.linear == LinearKind::kB1 || config.linear == LinearKind::kOneBit) return "tercet";
  if (config.variants.any()) return "tercet";
  if (config.rotary_dimensions() != config.head_dim) return "tercet";
  switch (config.norm) {
    case NormPlacement::kSandwich:
      return is_gemma3(config) ? "gemma3_text" : "tercet";
    case NormPlacement::kSub:
      return is_bitnet(config) ? "bitnet" : "tercet";
    case NormPlacement::kInsidePlain:
      return "tercet";
    case NormPlacement::kInside:
    case NormPlacement::kPreInside:
      if (config.linear == LinearKind::kDense) return "tercet";
      break;
    case NormPlacement::kPre:
      break;
  }
  return has_plain_attention(config) ? llama_like(config) : "tercet";
}

const char* architecture_of(const std::string& model_type) {
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"llama", "LlamaForCausalLM"},   {"mistral", "MistralForCausalLM"},
      {"qwen2", "Qwen2ForCausalLM"},   {"qwen3", "Qwen3ForCausalLM"},
      {"bitnet", "BitNetForCausalLM"}, {"gemma3_text", "Gemma3ForCausalLM"},
  };
  for (const auto& [type, name] : kNames) {
    if (model_type == type) return name;
  }
  return "TercetForCausalLM";
}

Json quantization_config(const ModelConfig& config) {
  Json out = {{"quant_method", "bitnet"},
              {"linear_class", "autobitlinear"},
              {"quantization_mode", "online"}};
  if (has_input_norms(config.norm)) {
    out["use_rms_norm"] = true;
    out["rms_norm_eps"] = shortest(config.rms_norm_eps);
  }
  if (!config.dense_maps.empty()) {
    if (has_input_norms(config.norm)) {
      fail(ErrorCode::kUnsupported,
           "'{}' is dense and has a norm of its own, which a config.json cannot say",
           config.dense_maps.front());
    }
    Json kept = config.dense_maps;
    kept.push_back("lm_head");  // which transformers leaves alone only without a list
    out["modules_to_not_convert"] = std::move(kept);
  }
  return out;
}

Json eos_json(const std::vector<int32_t>& ids) {
  if (ids.empty()) return nullptr;
  if (ids.size() == 1) return ids.front();
  return ids;
}

// The names that transformers 4 knows and 5 still reads.
Json rope_scaling_json(const ModelConfig& config) {
  const RopeScaling& scaling = config.rope_scaling;
  Json out = {{"rope_type", to_string(scaling.type)}, {"factor", shortest(scaling.factor)}};
  if (scaling.type == RopeType::kLinear) return out;
  out["original_max_position_embeddings"] = scaling.original_max_position_embeddings;
  if (scaling.type == RopeType::kLlama3) {
    out["low_freq_factor"] = shortest(scaling.low_freq_factor);
    out["high_freq_factor"] = shortest(scaling.high_freq_factor);
    return out;
  }
  out["beta_fast"] = shortest(scaling.beta_fast);
  out["beta_slow"] = shortest(scaling.beta_slow);
  out["truncate"] = scaling.truncate;
  out["attention_factor"] = shortest(scaling.attention_factor);
  return out;
}

Json layer_types_json(const ModelConfig& config) {
  Json out = Json::array();
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    out.push_back(config.is_sliding(i) ? "sliding_attention" : "full_attention");
  }
  return out;
}

void add_positions(const ModelConfig& config, const std::string& model_type, Json& out) {
  out["rope_theta"] = shortest(config.rope_theta);
  if (config.rope_scaling.type != RopeType::kDefault) {
    // Throws where the constants are unknown: then no file can hold them.
    llama3_frequency_factors(config);
    out["rope_scaling"] = rope_scaling_json(config);
  }
  const bool has_windows = model_type != "llama" && model_type != "bitnet";
  if (!has_windows) return;
  out["sliding_window"] = config.sliding_window > 0 ? Json(config.sliding_window) : Json(nullptr);
  if (model_type == "mistral") return;
  if (model_type == "qwen2" || model_type == "qwen3") {
    out["use_sliding_window"] = config.sliding_window > 0;
  }
  if (config.sliding_window > 0) out["layer_types"] = layer_types_json(config);
}

void add_gemma3(const ModelConfig& config, Json& out) {
  out["hidden_activation"] = to_string(config.hidden_act);
  out.erase("hidden_act");
  out["query_pre_attn_scalar"] = static_cast<int64_t>(std::round(query_scalar(config)));
  out["rope_local_base_freq"] = shortest(config.rope_local_theta);
  out["layer_types"] = layer_types_json(config);
}

void add_own_features(const ModelConfig& config, Json& out) {
  out["linear"] = to_string(config.linear);
  out["norm"] = to_string(config.norm);
  out["output_bias"] = config.output_bias;
  out["mlp_bias"] = config.mlp_bias;
  out["qk_norm"] = config.qk_norm;
  out["zero_centered_norms"] = config.zero_centered_norms;
  out["embedding_multiplier"] = shortest(config.embedding_multiplier);
  out["attention_scale"] = shortest(config.attention_scale);
  out["rotary_dim"] = config.rotary_dim;
  out["rope_local_theta"] = shortest(config.rope_local_theta);
  if (!config.variants.any()) return;
  out["activation_bits"] = config.variants.activation_bits;
  out["o_proj_top_k"] = shortest(config.variants.o_proj_top_k);
  out["hadamard"] = config.variants.hadamard;
  out["quant_groups"] = config.variants.quant_groups;
  out["shifted_gate_input"] = config.variants.shifted_gate_input;
}

}  // namespace

Json model_config_to_json(const ModelConfig& config) {
  config.validate("model configuration");
  const std::string model_type = model_type_of(config);
  Json out = {
      {"architectures", Json::array({architecture_of(model_type)})},
      {"model_type", model_type},
      {"torch_dtype", "float32"},
      {"vocab_size", config.vocab_size},
      {"hidden_size", config.hidden_size},
      {"intermediate_size", config.intermediate_size},
      {"num_hidden_layers", config.num_hidden_layers},
      {"num_attention_heads", config.num_attention_heads},
      {"num_key_value_heads", config.num_key_value_heads},
      {"head_dim", config.head_dim},
      {"max_position_embeddings", config.max_position_embeddings},
      {"rms_norm_eps", shortest(config.rms_norm_eps)},
      {"hidden_act", to_string(config.hidden_act)},
      {"tie_word_embeddings", config.tie_word_embeddings},
      {"eos_token_id", eos_json(config.eos_token_ids)},
  };
  out["bos_token_id"] = config.bos_token_id < 0 ? Json(nullptr) : Json(config.bos_token_id);
  // The other types have no such field: Mistral never has biases, Qwen2 always.
  if (model_type != "mistral" && model_type != "qwen2") {
    out["attention_bias"] = config.attention_bias;
  }
  add_positions(config, model_type, out);
  if (model_type == "llama") out["mlp_bias"] = config.mlp_bias;
  if (model_type == "gemma3_text") add_gemma3(config, out);
  if (model_type == "tercet") add_own_features(config, out);
  if (config.linear == LinearKind::kB158) {
    out["quantization_config"] = quantization_config(config);
    // transformers runs the block's norms besides, which are then all ones.
    if (config.norm == NormPlacement::kInside) out["norm"] = to_string(config.norm);
  }
  return out;
}

}  // namespace tercet
