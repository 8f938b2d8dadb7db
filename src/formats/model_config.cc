// SPDX-License-Identifier: Apache-2.0
#include "formats/model_config.h"

#include <cmath>

#include "core/error.h"
#include "formats/printable.h"

namespace tercet {
namespace {

// Far above any model that exists, low enough that no product of two of them overflows 64 bits.
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxHeads = 65536;
constexpr int64_t kMaxPositions = int64_t{1} << 30;

template <typename Enum>
struct Name {
  Enum value;
  const char* text;
};

constexpr Name<Activation> kActivations[] = {
    {Activation::kSilu, "silu"},
    {Activation::kRelu2, "relu2"},
    {Activation::kGeluTanh, "gelu_pytorch_tanh"},
};
constexpr Name<LinearKind> kLinearKinds[] = {
    {LinearKind::kDense, "dense"},
    {LinearKind::kB158, "b1.58"},
    {LinearKind::kB1, "b1"},
    {LinearKind::kOneBit, "onebit"},
};
constexpr Name<NormPlacement> kNormPlacements[] = {
    {NormPlacement::kPre, "pre"},           {NormPlacement::kSub, "sub"},
    {NormPlacement::kInside, "inside"},     {NormPlacement::kPreInside, "pre-inside"},
    {NormPlacement::kSandwich, "sandwich"}, {NormPlacement::kInsidePlain, "inside-plain"},
};
constexpr Name<RopeType> kRopeTypes[] = {
    {RopeType::kDefault, "default"},
    {RopeType::kLinear, "linear"},
    {RopeType::kLlama3, "llama3"},
    {RopeType::kYarn, "yarn"},
};

template <typename Enum, size_t kCount>
const char* name_of(const Name<Enum> (&names)[kCount], Enum value) {
  for (const Name<Enum>& name : names) {
    if (name.value == value) return name.text;
  }
  return "unknown";
}

template <typename Enum, size_t kCount>
Enum parse_name(const Name<Enum> (&names)[kCount], const char* what, const std::string& text) {
  std::string choices;
  for (const Name<Enum>& name : names) {
    if (text == name.text) return name.value;
    if (!choices.empty()) choices += ", ";
    choices += name.text;
  }
  fail(ErrorCode::kBadInput, "unknown {} '{}'; choose one of {}", what, printable(text), choices);
}

void check_range(const std::string& origin, const char* field, int64_t value, int64_t limit) {
  if (value >= 1 && value <= limit) return;
  fail(ErrorCode::kBadInput, "{}: {} is {}; it must be between 1 and {}", origin, field, value,
       limit);
}

void check_heads(const ModelConfig& config, const std::string& origin) {
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    fail(ErrorCode::kBadInput,
         "{}: num_attention_heads is {}, not a multiple of num_key_value_heads {}; choose a "
         "num_key_value_heads that divides it",
         origin, config.num_attention_heads, config.num_key_value_heads);
  }
  if (config.head_dim % 2 != 0) {
    fail(ErrorCode::kBadInput,
         "{}: head_dim is {}; rotary position embedding needs an even number (hidden_size {} over "
         "num_attention_heads {} unless given)",
         origin, config.head_dim, config.hidden_size, config.num_attention_heads);
  }
  if (config.num_attention_heads * config.head_dim > kMaxWidth) {
    fail(ErrorCode::kBadInput, "{}: num_attention_heads {} times head_dim {} exceeds {}", origin,
         config.num_attention_heads, config.head_dim, kMaxWidth);
  }
}

void check_constants(const ModelConfig& config, const std::string& origin) {
  if (!std::isfinite(config.rms_norm_eps) || config.rms_norm_eps <= 0.0f) {
    fail(ErrorCode::kBadInput, "{}: rms_norm_eps is {}; it must be a positive number such as 1e-5",
         origin, config.rms_norm_eps);
  }
  if (!std::isfinite(config.rope_theta) || config.rope_theta <= 1.0f) {
    fail(ErrorCode::kBadInput, "{}: rope_theta is {}; it must be above 1, such as 10000", origin,
         config.rope_theta);
  }
}

void check_positive(const std::string& origin, const char* field, float value) {
  if (std::isfinite(value) && value > 0.0f) return;
  fail(ErrorCode::kBadInput, "{}: {} is {}; it must be a positive number", origin, field, value);
}

void check_rope(const ModelConfig& config, const std::string& origin) {
  if (config.rotary_dim < 0 || config.rotary_dim % 2 != 0 || config.rotary_dim > config.head_dim) {
    fail(ErrorCode::kBadInput,
         "{}: {} elements of a head rotate; an even number up to head_dim {} is needed", origin,
         config.rotary_dim, config.head_dim);
  }
  if (config.rope_local_theta != 0.0f &&
      (!std::isfinite(config.rope_local_theta) || config.rope_local_theta <= 1.0f)) {
    fail(ErrorCode::kBadInput, "{}: rope_local_theta is {}; it must be above 1, such as 10000",
         origin, config.rope_local_theta);
  }
  const RopeScaling& scaling = config.rope_scaling;
  check_positive(origin, "factor of rope_scaling", scaling.factor);
  if (scaling.type == RopeType::kLlama3 && scaling.original_max_position_embeddings != 0) {
    check_positive(origin, "low_freq_factor of rope_scaling", scaling.low_freq_factor);
    if (!(scaling.high_freq_factor > scaling.low_freq_factor)) {
      fail(ErrorCode::kBadInput,
           "{}: high_freq_factor of rope_scaling is {}; it must exceed low_freq_factor {}", origin,
           scaling.high_freq_factor, scaling.low_freq_factor);
    }
  }
  if (scaling.type == RopeType::kYarn) {
    check_positive(origin, "beta_fast of rope_scaling", scaling.beta_fast);
    check_positive(origin, "beta_slow of rope_scaling", scaling.beta_slow);
    check_positive(origin, "attention_factor of rope_scaling", scaling.attention_factor);
  }
  const int64_t least = scaling.type == RopeType::kYarn ? 1 : 0;
  if (scaling.original_max_position_embeddings < least ||
      scaling.original_max_position_embeddings > kMaxPositions) {
    fail(ErrorCode::kBadInput,
         "{}: original_max_position_embeddings of rope_scaling is {}; it must be between 1 and {}",
         origin, scaling.original_max_position_embeddings, kMaxPositions);
  }
}

void check_attention(const ModelConfig& config, const std::string& origin) {
  if (config.sliding_window < 0 || config.sliding_window > kMaxPositions) {
    fail(ErrorCode::kBadInput, "{}: sliding_window is {}; it must be between 0 and {}", origin,
         config.sliding_window, kMaxPositions);
  }
  const int64_t listed = static_cast<int64_t>(config.sliding_layers.size());
  if (listed != 0 && listed != config.num_hidden_layers) {
    fail(ErrorCode::kBadInput, "{}: layer_types names {} layers, num_hidden_layers is {}", origin,
         listed, config.num_hidden_layers);
  }
  if (config.attention_scale != 0.0f) {
    check_positive(origin, "the scale of attention scores", config.attention_scale);
  }
  check_positive(origin, "embedding_multiplier", config.embedding_multiplier);
}

void check_token_ids(const ModelConfig& config, const std::string& origin) {
  if (config.bos_token_id < -1 || config.bos_token_id >= config.vocab_size) {
    fail(ErrorCode::kBadInput, "{}: bos_token_id is {}, outside the vocabulary of {} tokens",
         origin, config.bos_token_id, config.vocab_size);
  }
  for (const int32_t id : config.eos_token_ids) {
    if (id >= 0 && id < config.vocab_size) continue;
    fail(ErrorCode::kBadInput, "{}: eos_token_id is {}, outside the vocabulary of {} tokens",
         origin, id, config.vocab_size);
  }
}

}  // namespace

void ModelConfig::validate(const std::string& origin) const {
  check_range(origin, "vocab_size", vocab_size, kMaxVocab);
  check_range(origin, "hidden_size", hidden_size, kMaxWidth);
  check_range(origin, "intermediate_size", intermediate_size, kMaxWidth);
  check_range(origin, "num_hidden_layers", num_hidden_layers, kMaxLayers);
  check_range(origin, "num_attention_heads", num_attention_heads, kMaxHeads);
  check_range(origin, "num_key_value_heads", num_key_value_heads, kMaxHeads);
  check_range(origin, "head_dim", head_dim, kMaxWidth);
  check_range(origin, "max_position_embeddings", max_position_embeddings, kMaxPositions);
  check_heads(*this, origin);
  check_constants(*this, origin);
  check_rope(*this, origin);
  check_attention(*this, origin);
  check_token_ids(*this, origin);
  check_variants(*this, origin);
}

float gemma_embedding_multiplier(int64_t hidden_size) {
  return static_cast<float>(std::sqrt(static_cast<double>(hidden_size)));
}

const char* to_string(Activation value) { return name_of(kActivations, value); }
const char* to_string(LinearKind value) { return name_of(kLinearKinds, value); }
const char* to_string(NormPlacement value) { return name_of(kNormPlacements, value); }
const char* to_string(RopeType value) { return name_of(kRopeTypes, value); }

Activation parse_activation(const std::string& text) {
  return parse_name(kActivations, "activation", text);
}
LinearKind parse_linear_kind(const std::string& text) {
  return parse_name(kLinearKinds, "linear kind", text);
}
NormPlacement parse_norm_placement(const std::string& text) {
  return parse_name(kNormPlacements, "norm placement", text);
}
RopeType parse_rope_type(const std::string& text) {
  return parse_name(kRopeTypes, "rope type", text);
}

}  // namespace tercet
