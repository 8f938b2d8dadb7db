// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <optional>
#include <string>

#include "core/error.h"
#include "formats/hf_config_parts.h"
#include "formats/printable.h"

namespace tercet {
namespace {

constexpr const char* kFullLayers = "full_attention";
constexpr const char* kSlidingLayers = "sliding_attention";

// Newer files say rope_type, older ones type.
std::string type_name(const JsonFields& rope) {
  return rope.string_or("rope_type", rope.string_or("type", "default"));
}

RopeType read_type(const JsonFields& rope) {
  const std::string name = type_name(rope);
  for (const RopeType type :
       {RopeType::kDefault, RopeType::kLinear, RopeType::kLlama3, RopeType::kYarn}) {
    if (name == to_string(type)) return type;
  }
  fail(ErrorCode::kUnsupported, "{} is \"{}\"; default, linear, llama3 and yarn are supported",
       rope.describe(rope.has("rope_type") ? "rope_type" : "type"), printable(name));
}

void require(const JsonFields& rope, const char* field) {
  if (rope.has(field)) return;
  fail(ErrorCode::kBadInput, "{} is missing; rope type \"{}\" needs it", rope.describe(field),
       type_name(rope));
}

// YaRN's paper: attention is sharpened by 0.1 ln(factor) + 1.
double yarn_sharpening(double factor, double scale) {
  return factor <= 1.0 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
}

void read_yarn(const JsonFields& rope, int64_t max_positions, RopeScaling& out) {
  if (!rope.has("factor") && out.original_max_position_embeddings > 0) {
    out.factor = static_cast<float>(static_cast<double>(max_positions) /
                                    static_cast<double>(out.original_max_position_embeddings));
  }
  // Zero means the default, as it does for transformers.
  if (const float fast = rope.real_or("beta_fast", 0.0f); fast != 0.0f) out.beta_fast = fast;
  if (const float slow = rope.real_or("beta_slow", 0.0f); slow != 0.0f) out.beta_slow = slow;
  out.truncate = rope.boolean_or("truncate", true);
  const double factor = static_cast<double>(out.factor);
  const double mscale = static_cast<double>(rope.real_or("mscale", 0.0f));
  const double mscale_all = static_cast<double>(rope.real_or("mscale_all_dim", 0.0f));
  const double implied = mscale != 0.0 && mscale_all != 0.0
                             ? yarn_sharpening(factor, mscale) / yarn_sharpening(factor, mscale_all)
                             : yarn_sharpening(factor, 1.0);
  out.attention_factor = rope.real_or("attention_factor", static_cast<float>(implied));
}

RopeScaling read_scaling(const JsonFields& fields, const JsonFields& rope, int64_t max_positions) {
  RopeScaling out;
  out.type = read_type(rope);
  if (out.type == RopeType::kDefault) return out;
  if (out.type != RopeType::kYarn) require(rope, "factor");
  out.factor = rope.real_or("factor", 1.0f);
  if (out.type == RopeType::kLinear) return out;
  // Some families hold it beside the object, where it takes precedence.
  out.original_max_position_embeddings =
      fields.integer_or("original_max_position_embeddings",
                        rope.integer_or("original_max_position_embeddings", max_positions));
  if (out.original_max_position_embeddings < 1) {
    fail(ErrorCode::kBadInput, "{} is {}; it must be positive",
         rope.describe("original_max_position_embeddings"), out.original_max_position_embeddings);
  }
  if (out.type == RopeType::kYarn) {
    read_yarn(rope, max_positions, out);
    return out;
  }
  require(rope, "low_freq_factor");
  require(rope, "high_freq_factor");
  out.low_freq_factor = rope.real_or("low_freq_factor", 1.0f);
  out.high_freq_factor = rope.real_or("high_freq_factor", 4.0f);
  return out;
}

// The fraction of a head that rotates, as a number of elements (0: all).
int64_t read_rotary_dim(const JsonFields& fields, const std::optional<JsonFields>& rope,
                        int64_t head_dim) {
  constexpr const char* kField = "partial_rotary_factor";
  const JsonFields& holder = rope && rope->has(kField) ? *rope : fields;
  const float rounded = holder.real_or(kField, 1.0f);
  if (rounded == 1.0f) return 0;
  // In double as Python has it: 0.7 of 10 are 7 elements, not 6.
  const double factor = holder.find(kField)->get<double>();
  const double dimensions = static_cast<double>(head_dim) * factor;
  if (!(factor > 0.0) || factor > 1.0 || dimensions < 2.0) {
    fail(ErrorCode::kBadInput, "{} is {}; between two elements of a head and all of it can rotate",
         holder.describe(kField), factor);
  }
  return static_cast<int64_t>(dimensions);
}

// Sliding layers with a base of their own, unscaled: the only form in use.
float read_local_theta(const JsonFields& fields, const std::optional<JsonFields>& rope,
                       float fallback) {
  float theta = fields.real_or("rope_local_base_freq", fallback);
  const auto local = rope ? rope->object(kSlidingLayers) : std::nullopt;
  if (!local) return theta;
  if (read_type(*local) != RopeType::kDefault || local->real_or("partial_rotary_factor", 1) != 1) {
    fail(ErrorCode::kUnsupported, "{} is scaled or partial; only \"default\" is supported there",
         rope->describe(kSlidingLayers));
  }
  return local->real_or("rope_theta", theta);
}

}  // namespace

void read_rope(const JsonFields& fields, const RopeDefaults& defaults, ModelConfig& config) {
  // Older files write rope_scaling, newer ones rope_parameters; the first, if it says anything, is
  // what transformers follows.
  auto rope = fields.object("rope_scaling");
  if (!rope || fields.find("rope_scaling")->empty()) rope = fields.object("rope_parameters");

  const bool per_layer_kind = rope && (rope->has(kFullLayers) || rope->has(kSlidingLayers));
  if (per_layer_kind && defaults.local_theta == 0.0f) {
    fail(ErrorCode::kUnsupported, "{} differs by kind of layer; supported for gemma3 only",
         rope->describe(rope->has(kFullLayers) ? kFullLayers : kSlidingLayers));
  }
  if (defaults.local_theta != 0.0f) {
    config.rope_local_theta = read_local_theta(fields, rope, defaults.local_theta);
  }
  if (per_layer_kind) rope = rope->object(kFullLayers);

  config.rope_theta = fields.real_or("rope_theta", defaults.theta);
  config.rotary_dim = read_rotary_dim(fields, rope, config.head_dim);
  if (!rope) return;
  config.rope_theta = rope->real_or("rope_theta", config.rope_theta);
  config.rope_scaling = read_scaling(fields, *rope, config.max_position_embeddings);
}

}  // namespace tercet
