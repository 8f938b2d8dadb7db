// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "formats/hf_model.h"
#include "formats/json_fields.h"
#include "formats/printable.h"

namespace tercet {
namespace {

// What transformers assumes for fields that a config.json leaves out.
struct Defaults {
  Activation hidden_act;
  float rms_norm_eps;
  float rope_theta;
  int32_t bos_token_id;
  int32_t eos_token_id;
};
constexpr Defaults kLlamaDefaults{Activation::kSilu, 1e-6f, 10000.0f, 1, 2};
constexpr Defaults kBitnetDefaults{Activation::kRelu2, 1e-5f, 500000.0f, 128000, 128001};

int32_t to_token_id(int64_t id, const JsonFields& fields, const char* field) {
  if (id < -1 || id > std::numeric_limits<int32_t>::max()) {
    fail(ErrorCode::kBadInput, "{} is {}, outside any vocabulary", fields.describe(field), id);
  }
  return static_cast<int32_t>(id);
}

void refuse_true(const JsonFields& fields, const char* field) {
  if (!fields.boolean_or(field, false)) return;
  fail(ErrorCode::kUnsupported, "{} is true; linear maps with a bias are not supported",
       fields.describe(field));
}

// Rotary embedding parameters stand at the top level in older files and in an object in newer ones,
// `rope_scaling` (whose null or "default" means none) or `rope_parameters`.
float read_rope_theta(const JsonFields& fields, float fallback) {
  float theta = fields.real_or("rope_theta", fallback);
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const auto rope = fields.object(name);
    if (!rope) continue;
    const char* type_field = rope->has("rope_type") ? "rope_type" : "type";
    const std::string type = rope->string_or(type_field, "default");
    if (type != "default") {
      fail(ErrorCode::kUnsupported, "{} is \"{}\"; only \"default\" is supported",
           rope->describe(type_field), printable(type));
    }
    if (rope->real_or("partial_rotary_factor", 1.0f) != 1.0f) {
      fail(ErrorCode::kUnsupported, "{} is not 1; rotating part of a head is not supported",
           rope->describe("partial_rotary_factor"));
    }
    theta = rope->real_or("rope_theta", theta);
  }
  return theta;
}

Activation read_activation(const JsonFields& fields, Activation fallback) {
  const std::string name = fields.string_or("hidden_act", to_string(fallback));
  if (name != "silu" && name != "relu2") {
    fail(ErrorCode::kUnsupported, "{} is \"{}\"; silu and relu2 are supported",
         fields.describe("hidden_act"), printable(name));
  }
  return parse_activation(name);
}

void read_token_ids(const JsonFields& fields, const Defaults& defaults, ModelConfig& config) {
  const auto bos = fields.integers_or("bos_token_id", {defaults.bos_token_id});
  if (bos.size() > 1) {
    fail(ErrorCode::kBadInput, "{} is a list; one number is expected",
         fields.describe("bos_token_id"));
  }
  config.bos_token_id = bos.empty() ? -1 : to_token_id(bos.front(), fields, "bos_token_id");
  config.eos_token_ids.clear();
  for (const int64_t id : fields.integers_or("eos_token_id", {defaults.eos_token_id})) {
    config.eos_token_ids.push_back(to_token_id(id, fields, "eos_token_id"));
  }
}

// The fields that all model types have in common.
ModelConfig read_shape(const JsonFields& fields, const Defaults& defaults) {
  ModelConfig config;
  config.vocab_size = fields.integer("vocab_size");
  config.hidden_size = fields.integer("hidden_size");
  config.intermediate_size = fields.integer("intermediate_size");
  config.num_hidden_layers = fields.integer("num_hidden_layers");
  config.num_attention_heads = fields.integer("num_attention_heads");
  config.num_key_value_heads = fields.integer_or("num_key_value_heads", config.num_attention_heads);
  config.max_position_embeddings = fields.integer_or("max_position_embeddings", 2048);
  if (const auto head_dim = fields.find_integer("head_dim")) {
    config.head_dim = *head_dim;
  } else if (config.num_attention_heads > 0 &&
             config.hidden_size % config.num_attention_heads == 0) {
    config.head_dim = config.hidden_size / config.num_attention_heads;
  } else {
    fail(ErrorCode::kBadInput,
         "{} is {}, which does not divide hidden_size {}; choose a divisor or give head_dim",
         fields.describe("num_attention_heads"), config.num_attention_heads, config.hidden_size);
  }
  config.rms_norm_eps = fields.real_or("rms_norm_eps", defaults.rms_norm_eps);
  config.rope_theta = read_rope_theta(fields, defaults.rope_theta);
  config.hidden_act = read_activation(fields, defaults.hidden_act);
  config.tie_word_embeddings = fields.boolean_or("tie_word_embeddings", false);
  read_token_ids(fields, defaults, config);
  refuse_true(fields, "attention_bias");
  refuse_true(fields, "mlp_bias");
  return config;
}

void require_string(const JsonFields& fields, const char* field, const std::string& implied,
                    const std::string& wanted, const char* reason) {
  const std::string value = fields.string_or(field, implied);
  if (value == wanted) return;
  fail(ErrorCode::kUnsupported, "{} is \"{}\"; only \"{}\" is supported, {}",
       fields.describe(field), printable(value), wanted, reason);
}

// Only quantizers that leave latent full-precision weights in the file, and convert every linear
// map of the layers, are read. What an absent field implies is transformers' default.
void check_online_bitnet(const JsonFields& quantization) {
  require_string(quantization, "quant_method", "", "bitnet", "other quantizers are not read");
  require_string(quantization, "linear_class", "bitlinear", "autobitlinear",
                 "packed uint8 checkpoints are not read yet");
  require_string(quantization, "quantization_mode", "offline", "online",
                 "packed uint8 checkpoints are not read yet");
  const Json* kept = quantization.find("modules_to_not_convert");
  if (kept != nullptr && *kept != Json::array() && *kept != Json::array({"lm_head"})) {
    fail(ErrorCode::kUnsupported,
         "{} names modules other than lm_head; mixing dense and ternary "
         "layers is not supported",
         quantization.describe("modules_to_not_convert"));
  }
}

// `quantization_config` of a llama or bitnet file.
void read_quantization(const JsonFields& fields, bool is_bitnet, ModelConfig& config) {
  config.linear = is_bitnet ? LinearKind::kB158 : LinearKind::kDense;
  config.norm = is_bitnet ? NormPlacement::kSub : NormPlacement::kPre;
  const auto quantization = fields.object("quantization_config");
  if (!quantization) return;
  check_online_bitnet(*quantization);
  config.linear = LinearKind::kB158;
  if (!quantization->boolean_or("use_rms_norm", false)) return;
  if (is_bitnet) {
    fail(ErrorCode::kUnsupported,
         "{} is true; a bitnet model has sub-norms already, and both together are not supported",
         quantization->describe("use_rms_norm"));
  }
  config.norm = NormPlacement::kInside;
  if (quantization->real_or("rms_norm_eps", 1e-6f) != config.rms_norm_eps) {
    fail(ErrorCode::kUnsupported, "{} differs from rms_norm_eps {}; one value is supported",
         quantization->describe("rms_norm_eps"), config.rms_norm_eps);
  }
}

// Tercet's own model type spells out what the others imply.
void read_own_kinds(const JsonFields& fields, ModelConfig& config) {
  for (const char* field : {"linear", "norm", "hidden_act"}) {
    if (!fields.has(field)) fail(ErrorCode::kBadInput, "{} is missing", fields.describe(field));
  }
  try {
    config.linear = parse_linear_kind(fields.string_or("linear", ""));
    config.norm = parse_norm_placement(fields.string_or("norm", ""));
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", fields.origin(), error.what());
  }
}

}  // namespace

ModelConfig model_config_from_json(const Json& json, const std::string& origin) {
  const JsonFields fields(json, origin);
  const std::string type = fields.string_or("model_type", "");
  if (type != "llama" && type != "bitnet" && type != "tercet") {
    fail(ErrorCode::kUnsupported,
         "{}: model_type is \"{}\"; llama, bitnet and tercet are supported", origin,
         printable(type));
  }
  const bool is_bitnet = type == "bitnet";
  ModelConfig config = read_shape(fields, is_bitnet ? kBitnetDefaults : kLlamaDefaults);
  if (type == "tercet") {
    read_own_kinds(fields, config);
  } else {
    read_quantization(fields, is_bitnet, config);
  }
  config.validate(origin);
  return config;
}

}  // namespace tercet
