// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdlib>

#include "formats/hf_model.h"

namespace tercet {
namespace {

// A double that reads back as exactly `value` and prints as briefly as the float itself ("1e-05"
// instead of "9.999999747378752e-06").
double shortest(float value) {
  const double brief = std::strtod(fmt::format("{}", value).c_str(), nullptr);
  return static_cast<float>(brief) == value ? brief : static_cast<double>(value);
}

// The model type under which transformers computes what `config` means; "tercet" when none does.
const char* model_type_of(const ModelConfig& config) {
  if (config.hidden_size % config.num_attention_heads != 0) return "tercet";
  if (config.linear == LinearKind::kDense) {
    return config.norm == NormPlacement::kPre ? "llama" : "tercet";
  }
  if (config.norm != NormPlacement::kSub) return "llama";
  // Its attention norm has hidden_size weights, whatever the heads are.
  const bool square = config.num_attention_heads * config.head_dim == config.hidden_size;
  return square ? "bitnet" : "tercet";
}

const char* architecture_of(const std::string& model_type) {
  if (model_type == "llama") return "LlamaForCausalLM";
  if (model_type == "bitnet") return "BitNetForCausalLM";
  return "TercetForCausalLM";
}

Json quantization_config(const ModelConfig& config) {
  Json out = {{"quant_method", "bitnet"},
              {"linear_class", "autobitlinear"},
              {"quantization_mode", "online"}};
  if (config.norm == NormPlacement::kInside) {
    out["use_rms_norm"] = true;
    out["rms_norm_eps"] = shortest(config.rms_norm_eps);
  }
  return out;
}

Json eos_json(const std::vector<int32_t>& ids) {
  if (ids.empty()) return nullptr;
  if (ids.size() == 1) return ids.front();
  return ids;
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
      {"rope_theta", shortest(config.rope_theta)},
      {"hidden_act", to_string(config.hidden_act)},
      {"tie_word_embeddings", config.tie_word_embeddings},
      {"attention_bias", false},
      {"eos_token_id", eos_json(config.eos_token_ids)},
  };
  out["bos_token_id"] = config.bos_token_id < 0 ? Json(nullptr) : Json(config.bos_token_id);
  if (model_type == "tercet") {
    out["linear"] = to_string(config.linear);
    out["norm"] = to_string(config.norm);
  } else if (config.linear == LinearKind::kB158) {
    out["quantization_config"] = quantization_config(config);
  }
  return out;
}

}  // namespace tercet
