// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "formats/hf_config_parts.h"
#include "formats/hf_model.h"
#include "formats/json_fields.h"
#include "formats/printable.h"

namespace tercet {
namespace {

// What a model type is, and what transformers assumes for fields that its config.json leaves out.
struct Family {
  const char* model_type;
  Activation hidden_act = Activation::kSilu;
  float rms_norm_eps = 1e-6f;
  RopeDefaults rope = {};
  int64_t max_positions = 2048;
  int64_t vocab_size = 0;  // 0 here and below: must be given
  int64_t heads = 0;
  int64_t kv_heads = 0;  // 0: as many as heads
  int64_t head_dim = 0;  // 0: hidden_size / heads
  int32_t bos_token_id = 1;
  int32_t eos_token_id = 2;  // -1: none
  WindowRule window = WindowRule::kNone;
  bool ties_embeddings = false;
};

constexpr Family kFamilies[] = {
    {.model_type = "llama"},
    {.model_type = "mistral", .max_positions = 131072, .kv_heads = 8, .window = WindowRule::kAll},
    {.model_type = "qwen2",
     .max_positions = 32768,
     .kv_heads = 32,
     .bos_token_id = -1,
     .eos_token_id = -1,
     .window = WindowRule::kSwitched},
    {.model_type = "qwen3",
     .max_positions = 32768,
     .kv_heads = 32,
     .head_dim = 128,
     .bos_token_id = -1,
     .eos_token_id = -1,
     .window = WindowRule::kSwitched},
    {.model_type = "gemma3_text",
     .hidden_act = Activation::kGeluTanh,
     .rope = {1e6f, 1e4f},
     .max_positions = 131072,
     .vocab_size = 262208,
     .heads = 8,
     .kv_heads = 4,
     .head_dim = 256,
     .bos_token_id = 2,
     .eos_token_id = 1,
     .window = WindowRule::kPattern,
     .ties_embeddings = true},
    {.model_type = "bitnet",
     .hidden_act = Activation::kRelu2,
     .rms_norm_eps = 1e-5f,
     .rope = {500000.0f},
     .bos_token_id = 128000,
     .eos_token_id = 128001},
    {.model_type = "tercet"},
};

int32_t to_token_id(int64_t id, const JsonFields& fields, const char* field) {
  if (id < -1 || id > std::numeric_limits<int32_t>::max()) {
    fail(ErrorCode::kBadInput, "{} is {}, outside any vocabulary", fields.describe(field), id);
  }
  return static_cast<int32_t>(id);
}

// What changes the result and is not supported, in whatever family it stands.
void refuse_unsupported(const JsonFields& fields) {
  for (const char* field : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (fields.real_or(field, 0.0f) == 0.0f) continue;
    fail(ErrorCode::kUnsupported, "{} is set; capping logits is not supported",
         fields.describe(field));
  }
  for (const char* field : {"num_experts", "num_local_experts"}) {
    if (fields.integer_or(field, 0) == 0) continue;
    fail(ErrorCode::kUnsupported, "{} is set; mixtures of experts are not supported",
         fields.describe(field));
  }
  if (fields.boolean_or("use_bidirectional_attention", false)) {
    fail(ErrorCode::kUnsupported, "{} is true; only causal attention is supported",
         fields.describe("use_bidirectional_attention"));
  }
}

Activation read_activation(const JsonFields& fields, Activation fallback) {
  const char* field = fields.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  const std::string name = fields.string_or(field, to_string(fallback));
  for (const Activation known : {Activation::kSilu, Activation::kRelu2, Activation::kGeluTanh}) {
    if (name == to_string(known)) return known;
  }
  fail(ErrorCode::kUnsupported, "{} is \"{}\"; silu, relu2 and gelu_pytorch_tanh are supported",
       fields.describe(field), printable(name));
}

// `outer` is the whole file, where multimodal models have them.
void read_token_ids(const JsonFields& outer, const JsonFields& inner, const Family& family,
                    ModelConfig& config) {
  const auto read = [&](const char* field, int32_t fallback) {
    std::vector<int64_t> implied;
    if (fallback >= 0) implied.push_back(fallback);
    return outer.integers_or(field, inner.integers_or(field, implied));
  };
  const auto bos = read("bos_token_id", family.bos_token_id);
  if (bos.size() > 1) {
    fail(ErrorCode::kBadInput, "{} is a list; one number is expected",
         outer.describe("bos_token_id"));
  }
  config.bos_token_id = bos.empty() ? -1 : to_token_id(bos.front(), outer, "bos_token_id");
  config.eos_token_ids.clear();
  for (const int64_t id : read("eos_token_id", family.eos_token_id)) {
    config.eos_token_ids.push_back(to_token_id(id, outer, "eos_token_id"));
  }
}

int64_t integer_or_required(const JsonFields& fields, const char* field, int64_t fallback) {
  return fallback == 0 ? fields.integer(field) : fields.integer_or(field, fallback);
}

int64_t read_head_dim(const JsonFields& fields, const Family& family, const ModelConfig& config) {
  if (const auto head_dim = fields.find_integer("head_dim")) return *head_dim;
  if (family.head_dim > 0) return family.head_dim;
  if (config.num_attention_heads > 0 && config.hidden_size % config.num_attention_heads == 0) {
    return config.hidden_size / config.num_attention_heads;
  }
  fail(ErrorCode::kBadInput,
       "{} is {}, which does not divide hidden_size {}; choose a divisor or give head_dim",
       fields.describe("num_attention_heads"), config.num_attention_heads, config.hidden_size);
}

// The fields that all model types have in common.
ModelConfig read_shape(const JsonFields& fields, const Family& family) {
  ModelConfig config;
  config.vocab_size = integer_or_required(fields, "vocab_size", family.vocab_size);
  config.hidden_size = fields.integer("hidden_size");
  config.intermediate_size = fields.integer("intermediate_size");
  config.num_hidden_layers = fields.integer("num_hidden_layers");
  config.num_attention_heads = integer_or_required(fields, "num_attention_heads", family.heads);
  config.num_key_value_heads = fields.integer_or(
      "num_key_value_heads", family.kv_heads > 0 ? family.kv_heads : config.num_attention_heads);
  config.max_position_embeddings =
      fields.integer_or("max_position_embeddings", family.max_positions);
  config.head_dim = read_head_dim(fields, family, config);
  config.rms_norm_eps = fields.real_or("rms_norm_eps", family.rms_norm_eps);
  config.hidden_act = read_activation(fields, family.hidden_act);
  config.tie_word_embeddings = fields.boolean_or("tie_word_embeddings", family.ties_embeddings);
  return config;
}

void read_gemma3(const JsonFields& fields, ModelConfig& config) {
  constexpr float kDefaultQueryScalar = 256.0f;
  const float scalar = fields.real_or("query_pre_attn_scalar", kDefaultQueryScalar);
  if (!(scalar > 0.0f)) {
    fail(ErrorCode::kBadInput, "{} is {}; it must be positive",
         fields.describe("query_pre_attn_scalar"), scalar);
  }
  config.attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(scalar)));
  config.norm = NormPlacement::kSandwich;
  config.qk_norm = true;
  config.zero_centered_norms = true;
  config.embedding_multiplier = gemma_embedding_multiplier(config.hidden_size);
}

// What the model type alone says, and the switches that it has.
void read_features(const JsonFields& fields, const std::string& type, ModelConfig& config) {
  const bool bias = fields.boolean_or("attention_bias", false);
  config.attention_bias = bias && type != "mistral" && type != "qwen2";
  config.output_bias = config.attention_bias;
  if (type == "llama") config.mlp_bias = fields.boolean_or("mlp_bias", false);
  if (type == "qwen2") config.attention_bias = true;
  if (type == "qwen3") config.qk_norm = true;
  if (type == "bitnet") config.norm = NormPlacement::kSub;
  if (type == "gemma3_text") read_gemma3(fields, config);
}

// Tercet's own model type spells out what the others imply.
void read_own_features(const JsonFields& fields, ModelConfig& config) {
  for (const char* field : {"linear", "norm", "hidden_act"}) {
    if (!fields.has(field)) fail(ErrorCode::kBadInput, "{} is missing", fields.describe(field));
  }
  try {
    config.linear = parse_linear_kind(fields.string_or("linear", ""));
    if (config.linear == LinearKind::kOneBit) {
      fail(ErrorCode::kUnsupported, "OneBit models are read from GGUF files, not from directories");
    }
    config.norm = parse_norm_placement(fields.string_or("norm", ""));
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", fields.origin(), error.what());
  }
  config.attention_bias = fields.boolean_or("attention_bias", false);
  config.output_bias = fields.boolean_or("output_bias", false);
  config.mlp_bias = fields.boolean_or("mlp_bias", false);
  config.qk_norm = fields.boolean_or("qk_norm", false);
  config.zero_centered_norms = fields.boolean_or("zero_centered_norms", false);
  config.embedding_multiplier = fields.real_or("embedding_multiplier", 1.0f);
  config.attention_scale = fields.real_or("attention_scale", 0.0f);
  read_rope(fields, RopeDefaults{}, config);
  config.rotary_dim = fields.integer_or("rotary_dim", config.rotary_dim);
  config.rope_local_theta = fields.real_or("rope_local_theta", 0.0f);
  read_windows(fields, WindowRule::kListed, config);
}

void read_variants(const JsonFields& fields, BitnetVariants& variants) {
  variants.activation_bits = fields.integer_or("activation_bits", variants.activation_bits);
  variants.o_proj_top_k = fields.real_or("o_proj_top_k", variants.o_proj_top_k);
  variants.hadamard = fields.boolean_or("hadamard", false);
  variants.quant_groups = fields.integer_or("quant_groups", variants.quant_groups);
  variants.shifted_gate_input = fields.boolean_or("shifted_gate_input", false);
}

const Family& find_family(const JsonFields& fields, const std::string& type) {
  for (const Family& family : kFamilies) {
    if (type == family.model_type) return family;
  }
  fail(ErrorCode::kUnsupported,
       "{}: model_type is \"{}\"; llama, mistral, qwen2, qwen3, gemma3, gemma3_text, bitnet and "
       "tercet are supported",
       fields.origin(), printable(type));
}

}  // namespace

ModelConfig model_config_from_json(const Json& json, const std::string& origin) {
  const JsonFields file(json, origin);
  std::string type = file.string_or("model_type", "");
  // The text half of a model that also sees.
  const auto text = type == "gemma3" ? file.object("text_config") : std::nullopt;
  if (type == "gemma3") type = "gemma3_text";
  const JsonFields& fields = text ? *text : file;

  const Family& family = find_family(file, type);
  refuse_unsupported(fields);
  ModelConfig config = read_shape(fields, family);
  if (type == "tercet") {
    read_own_features(fields, config);
    read_variants(fields, config.variants);
  } else {
    read_features(fields, type, config);
    read_rope(fields, family.rope, config);
    read_windows(fields, family.window, config);
    read_quantization(file, type == "bitnet", config);
  }
  read_token_ids(file, fields, family, config);
  config.validate(origin);
  read_dense_maps(file, config);
  apply_given_ternary(file, config);
  return config;
}

}  // namespace tercet
