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
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxHeads = 65536;
constexpr int64_t kMaxPositions = int64_t{1} << 30;

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
  check_token_ids(*this, origin);
}

const char* to_string(Activation value) { return value == Activation::kSilu ? "silu" : "relu2"; }

const char* to_string(LinearKind value) { return value == LinearKind::kDense ? "dense" : "b1.58"; }

const char* to_string(NormPlacement value) {
  switch (value) {
    case NormPlacement::kPre:
      return "pre";
    case NormPlacement::kSub:
      return "sub";
    case NormPlacement::kInside:
      return "inside";
  }
  return "unknown";
}

Activation parse_activation(const std::string& text) {
  if (text == "silu") return Activation::kSilu;
  if (text == "relu2") return Activation::kRelu2;
  fail(ErrorCode::kBadInput, "unknown activation '{}'; choose silu or relu2", printable(text));
}

LinearKind parse_linear_kind(const std::string& text) {
  if (text == "dense") return LinearKind::kDense;
  if (text == "b1.58") return LinearKind::kB158;
  fail(ErrorCode::kBadInput, "unknown linear kind '{}'; choose dense or b1.58", printable(text));
}

NormPlacement parse_norm_placement(const std::string& text) {
  if (text == "pre") return NormPlacement::kPre;
  if (text == "sub") return NormPlacement::kSub;
  if (text == "inside") return NormPlacement::kInside;
  fail(ErrorCode::kBadInput, "unknown norm placement '{}'; choose pre, sub or inside",
       printable(text));
}

}  // namespace tercet
