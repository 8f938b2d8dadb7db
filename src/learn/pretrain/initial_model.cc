// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/initial_model.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "learn/nn/input_transforms.h"
#include "learn/nn/trainable.h"
#include "tokenizer/tokenizer_files.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenizerModelName = "tokenizer.model";

template <typename Value>
void check_equal(const char* field, const Value& recipe, const Value& model,
                 const std::string& origin) {
  if (recipe == model) return;
  fail(ErrorCode::kUsage, "{} is {}, but the model in '{}' has {}; leave it out", field, recipe,
       origin, model);
}

void check_shape(const Recipe& r, const ModelConfig& c, const std::string& origin) {
  check_equal("hidden_size", r.hidden_size, c.hidden_size, origin);
  check_equal("intermediate_size", r.intermediate_size, c.intermediate_size, origin);
  check_equal("num_hidden_layers", r.num_hidden_layers, c.num_hidden_layers, origin);
  check_equal("num_attention_heads", r.num_attention_heads, c.num_attention_heads, origin);
  check_equal("num_key_value_heads", r.num_key_value_heads, c.num_key_value_heads, origin);
  check_equal("rope_theta", static_cast<float>(r.rope_theta), c.rope_theta, origin);
  check_equal("rms_norm_eps", static_cast<float>(r.rms_norm_eps), c.rms_norm_eps, origin);
  check_equal("tie_word_embeddings", r.tie_word_embeddings, c.tie_word_embeddings, origin);
  check_equal("hidden_act", r.hidden_act, std::string(to_string(c.hidden_act)), origin);
}

// Every weight of the source must go somewhere.
void check_places(const ModelConfig& source, const ModelConfig& target, const std::string& origin) {
  std::set<std::string> places;
  for (const TensorSpec& spec : tensor_specs(target)) places.insert(spec.hf_name);
  for (const TensorSpec& spec : tensor_specs(source)) {
    if (places.contains(spec.hf_name)) continue;
    fail(ErrorCode::kUsage,
         "'{}' of the model in '{}' has no place with norm '{}'; leave out norm, which is then "
         "'{}'",
         spec.hf_name, origin, to_string(target.norm), to_string(source.norm));
  }
}

// Whether the map has a Hadamard transform at its input where there is one.
bool takes_transform(const std::string& name) {
  return name.ends_with(".o_proj.weight") || name.ends_with(".down_proj.weight");
}

bool same_bytes(const fs::path& a, const fs::path& b) {
  const MappedFile left(a), right(b);
  return std::ranges::equal(left.bytes(), right.bytes());
}

}  // namespace

void take_shape(Recipe& recipe, const fs::path& directory,
                const std::function<bool(const char*)>& says) {
  const HfModel source(directory);
  const ModelConfig& config = source.config();
  const auto take = [&](const char* field, auto& value, auto of_model) {
    if (!says(field)) value = of_model;
  };
  take("hidden_size", recipe.hidden_size, config.hidden_size);
  take("intermediate_size", recipe.intermediate_size, config.intermediate_size);
  take("num_hidden_layers", recipe.num_hidden_layers, config.num_hidden_layers);
  take("num_attention_heads", recipe.num_attention_heads, config.num_attention_heads);
  take("num_key_value_heads", recipe.num_key_value_heads, config.num_key_value_heads);
  take("rope_theta", recipe.rope_theta, static_cast<double>(config.rope_theta));
  take("rms_norm_eps", recipe.rms_norm_eps, static_cast<double>(config.rms_norm_eps));
  take("tie_word_embeddings", recipe.tie_word_embeddings, config.tie_word_embeddings);
  // Where these follow from the family, they follow from the model instead.
  const bool act = says("hidden_act") && !recipe.hidden_act.empty();
  if (!act) recipe.hidden_act = to_string(config.hidden_act);
  const bool norm = says("norm") && !recipe.norm.empty();
  if (!norm) recipe.norm = to_string(config.norm);
  const std::string& linear = recipe.linear.empty() ? recipe.family : recipe.linear;
  if (linear != to_string(config.linear)) return;
  const BitnetVariants& variants = config.variants;
  take("activation_bits", recipe.activation_bits, variants.activation_bits);
  take("o_proj_top_k", recipe.o_proj_top_k, static_cast<double>(variants.o_proj_top_k));
  take("hadamard", recipe.hadamard, variants.hadamard);
  take("quant_groups", recipe.quant_groups, variants.quant_groups);
  take("shifted_gate_input", recipe.shifted_gate_input, variants.shifted_gate_input);
}

ModelConfig config_from(const HfModel& source, const Recipe& recipe, int64_t vocab_size) {
  const std::string origin = source.directory().string();
  ModelConfig config = source.config();
  check_shape(recipe, config, origin);
  if (source.ternary_storage().packed && has_low_bit_maps(config.linear)) {
    fail(ErrorCode::kUnsupported,
         "'{}' holds packed codes, which have no latent weights to train; use the directory that "
         "they were made from",
         origin);
  }
  if (vocab_size > config.vocab_size) {
    fail(ErrorCode::kBadInput,
         "'{}' has {} embeddings, the tokenizer of the data {} tokens; build the data with the "
         "model's tokenizer",
         origin, config.vocab_size, vocab_size);
  }
  config.linear = parse_linear_kind(recipe.linear);
  config.norm = parse_norm_placement(recipe.norm);
  config.variants = variants_of(recipe);
  config.max_position_embeddings = std::max(config.max_position_embeddings, recipe.sequence_length);
  config.validate(origin);
  check_trainable(config);
  check_places(source.config(), config, origin);
  if (config.variants.hadamard != source.config().variants.hadamard &&
      source.config().linear != LinearKind::kDense) {
    fail(ErrorCode::kUsage,
         "the ternary maps of '{}' were trained {} a Hadamard transform, and are no longer ternary "
         "{} it; leave out hadamard",
         origin, config.variants.hadamard ? "without" : "with",
         config.variants.hadamard ? "behind" : "without");
  }
  return config;
}

void check_same_tokenizer(const fs::path& model, const fs::path& data) {
  for (const char* name : {kTokenizerJsonName, kTokenizerModelName}) {
    if (!fs::exists(model / name) || !fs::exists(data / name)) continue;
    if (same_bytes(model / name, data / name)) return;
    fail(ErrorCode::kBadInput,
         "'{}' and '{}' differ; build the data with the tokenizer of the model to start from",
         (model / name).string(), (data / name).string());
  }
}

bool take_weights(Transformer& model, const HfModel& source) {
  std::set<std::string> given;
  for (const TensorSpec& spec : tensor_specs(source.config())) given.insert(spec.hf_name);
  const at::NoGradGuard no_gradients;
  bool all = true;
  for (Parameter& parameter : model.parameters()) {
    if (!given.contains(parameter.name)) {
      all = false;
      continue;
    }
    const TensorView& tensor = source.tensor(parameter.name);
    const std::vector<float> values = to_f32(tensor);
    parameter.value.copy_(
        at::from_blob(const_cast<float*>(values.data()), parameter.value.sizes(), at::kFloat));
    source.release(tensor);
    if (model.config().variants.hadamard && !source.config().variants.hadamard &&
        takes_transform(parameter.name)) {
      // The transform is its own inverse: H x meets W H as x met W.
      parameter.value.copy_(hadamard(parameter.value));
      all = false;
    }
  }
  return all;
}

}  // namespace tercet::learn
