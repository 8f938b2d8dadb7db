// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/presets.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "learn/pretrain/initial_model.h"

namespace tercet::learn {
namespace {

constexpr double kByFamily = -1;  // what the recipe makes of the family and the width
// Up to here all families have the same blocks and are trained alike, as was best in trials
// (docs/training.md).
constexpr int64_t kSmallWidth = 512;

struct Rates {
  double b158 = kByFamily;
  double b158_2 = kByFamily;
  double b1 = kByFamily;
  double llama = kByFamily;
};

constexpr Rates for_all(double rate) { return {rate, kByFamily, rate, rate}; }

struct Preset {
  const char* name;
  int64_t hidden;
  int64_t intermediate;
  int64_t layers;
  int64_t heads;
  int64_t key_value_heads;
  int64_t sequence_length;
  int64_t batch_size;
  int64_t steps;
  int64_t warmup;
  Rates rates;
  bool of_b158_paper = false;  // norms inside the maps
};

// Up to 30m, for one machine: 8 K to 32 K tokens a step, about twenty tokens a parameter; the rate
// that was best at 1m falls with the root of the width. Sizes of b1: 256 K tokens and 40,000 steps
// (its paper names no length of sequences; 2048 here). Sizes of b1.58: 1 M tokens a step, 100 G in
// all. Of 2b4t only the shape and the 4 T tokens are published.
constexpr std::array kPresets = {
    Preset{"1m", 128, 384, 3, 4, 2, 256, 32, 2500, 125, for_all(8e-3)},
    Preset{"3m", 192, 576, 5, 6, 3, 256, 32, 7500, 375, for_all(6.5e-3)},
    Preset{"8m", 320, 896, 5, 5, 5, 256, 64, 10000, 375, for_all(5e-3)},
    Preset{"15m", 384, 1152, 8, 6, 3, 512, 32, 18500, 375, for_all(4.6e-3)},
    Preset{"30m", 512, 1536, 9, 8, 4, 512, 64, 18500, 375, for_all(4e-3)},
    Preset{"125m", 768, 2048, 12, 12, 12, 2048, 128, 40000, 750, {.b1 = 2.4e-3}},
    Preset{"350m", 1024, 2736, 24, 16, 16, 2048, 128, 40000, 750, {.b1 = 1.2e-3}},
    Preset{
        "700m", 1536, 4096, 24, 24, 24, 2048, 512, 95368, 375, {1.5e-3, 1e-3, 1e-3, 2.5e-4}, true},
    Preset{"760m", 1536, 4096, 24, 16, 16, 2048, 128, 40000, 750, {1.5e-3, 1e-3, 1e-3, 2.5e-4}},
    Preset{"1.3b", 2048, 5460, 24, 32, 32, 2048, 512, 95368, 375, {1.2e-3, 8e-4, 8e-4, 2e-4}, true},
    Preset{"2.7b", 2560, 6832, 32, 32, 32, 2048, 128, 40000, 750, {1.2e-3, 8e-4, 6.4e-4, 2e-4}},
    Preset{"2b4t", 2560, 6912, 30, 20, 5, 4096, 1024, 953674, 375, {}},
    Preset{"3b", 3200, 8640, 26, 32, 32, 2048, 512, 95368, 375, {1.2e-3, 8e-4, 6.4e-4, 2e-4}, true},
    Preset{
        "3.9b", 3200, 12800, 26, 32, 32, 2048, 512, 95368, 375, {1.2e-3, 8e-4, 6.4e-4, 2e-4}, true},
    Preset{"6.7b", 4096, 10928, 32, 32, 32, 2048, 128, 40000, 750, {.b1 = 4.8e-4}},
    Preset{"13b", 5120, 13656, 40, 40, 40, 2048, 128, 40000, 750, {.b1 = 4e-4}},
    Preset{"30b", 7168, 19120, 48, 56, 56, 2048, 128, 40000, 750, {.b1 = 4e-4}},
};

}  // namespace

std::string preset_names() {
  std::string names;
  for (const Preset& preset : kPresets) {
    if (!names.empty()) names += ", ";
    names += preset.name;
  }
  return names;
}

Recipe preset_recipe(const std::string& name, const std::string& family,
                     const std::string& linear) {
  const auto found = std::find_if(kPresets.begin(), kPresets.end(),
                                  [&](const Preset& preset) { return name == preset.name; });
  if (found == kPresets.end()) {
    fail(ErrorCode::kUsage, "unknown preset '{}'; choose one of {}", name, preset_names());
  }
  const Preset& p = *found;
  Recipe recipe;
  recipe.family = family;
  recipe.linear = linear;
  recipe.hidden_size = p.hidden;
  recipe.intermediate_size = p.intermediate;
  recipe.num_hidden_layers = p.layers;
  recipe.num_attention_heads = p.heads;
  recipe.num_key_value_heads = p.key_value_heads;
  recipe.sequence_length = p.sequence_length;
  recipe.batch_size = p.batch_size;
  recipe.steps = p.steps;
  recipe.warmup_steps = p.warmup;
  if (family == "b1.58" && p.of_b158_paper) recipe.norm = "inside";
  const std::string& maps = linear.empty() ? family : linear;
  if (maps == "b1.58") {
    recipe.learning_rate = p.rates.b158;
    recipe.learning_rate_2 = p.rates.b158_2;
  } else {
    recipe.learning_rate = maps == "b1" ? p.rates.b1 : p.rates.llama;
  }
  if (family == "b1" && p.hidden >= 5120) recipe.weight_decay = 0.05;
  if (p.hidden <= kSmallWidth) {
    recipe.norm = "pre";
    recipe.schedule = "linear";
    recipe.weight_decay = 0.3;
    recipe.adam_beta2 = 0.95;
    recipe.grad_clip = 1.0;
  }
  if (name == "2b4t") {
    recipe.rope_theta = 500000.0;
    if (family == "b1.58") {
      recipe.norm = "sub";
      recipe.hidden_act = "relu2";
    }
  }
  return recipe;
}

namespace {

// Negative numbers stand for "by family" inside a recipe, which nobody means who writes one.
void refuse_negative(const RecipePart& part) {
  if (!part.fields.is_object()) return;
  for (const auto& [field, value] : part.fields.items()) {
    if (!value.is_number() || value.get<double>() >= 0) continue;
    fail(ErrorCode::kUsage, "{}: {} is {}, it must be a number and not negative", part.origin,
         field, value.get<double>());
  }
}

}  // namespace

Recipe assembled_recipe(const std::string& preset, std::span<const RecipePart> parts) {
  const auto says = [&](const char* field) {
    return std::any_of(parts.begin(), parts.end(),
                       [&](const RecipePart& part) { return part.fields.contains(field); });
  };
  for (const RecipePart& part : parts) refuse_negative(part);
  Recipe recipe;
  if (!preset.empty()) {
    Recipe chosen;
    for (const RecipePart& part : parts) apply_json(chosen, part.fields, part.origin);
    recipe = preset_recipe(preset, chosen.family, chosen.linear);
  }
  for (const RecipePart& part : parts) apply_json(recipe, part.fields, part.origin);
  if (!recipe.init_from.empty()) take_shape(recipe, recipe.init_from, says);
  // A preset's warm-up belongs to its length.
  const bool other_length = says("tokens") || says("steps");
  if (!preset.empty() && other_length && !says("warmup_steps")) recipe.warmup_steps = -1;
  return recipe;
}

}  // namespace tercet::learn
