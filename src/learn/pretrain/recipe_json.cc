// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "learn/pretrain/data_field.h"
#include "learn/pretrain/recipe.h"

namespace tercet::learn {
namespace {

const std::array kFields = {
    RecipeField{"family", &Recipe::family,
                "b1.58 (ternary), b1 (binary) or llama (their full-precision twin)"},
    RecipeField{"linear", &Recipe::linear, "linear maps: b1.58, b1 or dense (default: by family)"},
    RecipeField{"norm", &Recipe::norm,
                "pre, sub (BitNet 2B4T), inside or inside-plain (b1) (default: by family)"},
    RecipeField{"hidden_act", &Recipe::hidden_act, "silu or relu2 (default: by family)"},
    RecipeField{"activation_bits", &Recipe::activation_bits,
                "b1.58: bits of the inputs of linear maps, 8 or 4 (see docs/training.md)"},
    RecipeField{"o_proj_top_k", &Recipe::o_proj_top_k,
                "b1.58: share of o_proj's inputs, the largest, that is not zeroed"},
    RecipeField{"hadamard", &Recipe::hadamard,
                "b1.58: Hadamard transform before o_proj and down_proj"},
    RecipeField{"quant_groups", &Recipe::quant_groups,
                "b1: groups of columns with norms and scales of their own"},
    RecipeField{"shifted_gate_input", &Recipe::shifted_gate_input,
                "b1: inputs of gate and up rounded to [0, 127] above their smallest"},
    RecipeField{"hidden_size", &Recipe::hidden_size, "width of the residual stream"},
    RecipeField{"intermediate_size", &Recipe::intermediate_size, "width of the feed-forward"},
    RecipeField{"num_hidden_layers", &Recipe::num_hidden_layers, "layers"},
    RecipeField{"num_attention_heads", &Recipe::num_attention_heads, "query heads"},
    RecipeField{"num_key_value_heads", &Recipe::num_key_value_heads, "key and value heads"},
    RecipeField{"rope_theta", &Recipe::rope_theta, "base of the rotary embedding"},
    RecipeField{"rms_norm_eps", &Recipe::rms_norm_eps, "epsilon of the norms"},
    RecipeField{"tie_word_embeddings", &Recipe::tie_word_embeddings, "head = embedding"},
    RecipeField{"init_from", &Recipe::init_from,
                "start from this HF directory or checkpoint, whose shape it has"},
    RecipeField{"keep_optimizer", &Recipe::keep_optimizer,
                "go on with the optimizer state beside init_from, if there is one"},
    RecipeField{"lambda_start_step", &Recipe::lambda_start_step,
                "train low-bit maps dense before this step"},
    RecipeField{"lambda_warmup_steps", &Recipe::lambda_warmup_steps,
                "steps in which the rounding of low-bit maps then fades in"},
    RecipeField{"a8_steps", &Recipe::a8_steps,
                "steps with 8-bit inputs before activation_bits and o_proj_top_k apply"},
    RecipeField{"data", &Recipe::data,
                "directory made by `tercet data build`, or several with their shares (DIR=WEIGHT)"},
    RecipeField{
        "document_attention", &Recipe::document_attention,
        "across: tokens see all before them in their sequence; within: only their document"},
    RecipeField{"sequence_length", &Recipe::sequence_length, "tokens per sequence"},
    RecipeField{"batch_size", &Recipe::batch_size, "sequences per optimizer step"},
    RecipeField{"micro_batch_size", &Recipe::micro_batch_size,
                "sequences per forward pass (default: about 2048 tokens)"},
    RecipeField{"tokens", &Recipe::tokens, "tokens to train on"},
    RecipeField{"steps", &Recipe::steps, "optimizer steps, instead of tokens"},
    RecipeField{"schedule", &Recipe::schedule, "two-stage, cosine, linear or constant"},
    RecipeField{"learning_rate", &Recipe::learning_rate, "peak learning rate"},
    RecipeField{"learning_rate_2", &Recipe::learning_rate_2, "two-stage: peak of the second half"},
    RecipeField{"min_learning_rate", &Recipe::min_learning_rate, "where cosine and linear end"},
    RecipeField{"warmup_steps", &Recipe::warmup_steps, "steps of linear warm-up"},
    RecipeField{"weight_decay", &Recipe::weight_decay, "AdamW's weight decay"},
    RecipeField{"weight_decay_2", &Recipe::weight_decay_2, "two-stage: in the second half"},
    RecipeField{"adam_beta1", &Recipe::adam_beta1, "decay of the first moment"},
    RecipeField{"adam_beta2", &Recipe::adam_beta2, "decay of the second moment"},
    RecipeField{"adam_eps", &Recipe::adam_eps, "AdamW's epsilon"},
    RecipeField{"grad_clip", &Recipe::grad_clip, "largest gradient norm, 0 for none"},
    RecipeField{"spike_deviations", &Recipe::spike_deviations,
                "skip a step whose loss is so many deviations above the recent ones; 0: never"},
    RecipeField{"precision", &Recipe::precision, "type of matrix products: bf16 or f32"},
    RecipeField{
        "recompute", &Recipe::recompute,
        "keep only the blocks' inputs and run them again backwards: less memory, same bits"},
    RecipeField{"seed", &Recipe::seed, "of the initial weights and the order of the data"},
    RecipeField{"threads", &Recipe::threads, "CPU threads (default: physical cores)"},
    RecipeField{"device", &Recipe::device, "cpu or cuda"},
    RecipeField{"eval_every", &Recipe::eval_every, "steps between validation losses"},
    RecipeField{"eval_tokens", &Recipe::eval_tokens, "validation tokens to use"},
    RecipeField{"stats_every", &Recipe::stats_every,
                "steps between counts of the weights' codes, flips and sizes; 0: never"},
    RecipeField{"sample_every", &Recipe::sample_every, "steps between samples of text"},
    RecipeField{"sample_tokens", &Recipe::sample_tokens, "length of a sample"},
    RecipeField{"prompt", &Recipe::prompt, "what samples continue"},
    RecipeField{"checkpoint_every", &Recipe::checkpoint_every, "steps between checkpoints"},
    RecipeField{"keep_checkpoints", &Recipe::keep_checkpoints,
                "newest checkpoints to keep, besides the best one"},
};

void set_member(Recipe& recipe, int64_t Recipe::*member, const Json& value, const std::string& at) {
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX)) {
    fail(ErrorCode::kBadInput, "{} must be an integer, not {}", at, value.dump());
  }
  recipe.*member = value.get<int64_t>();
}

void set_member(Recipe& recipe, double Recipe::*member, const Json& value, const std::string& at) {
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    fail(ErrorCode::kBadInput, "{} must be a number, not {}", at, value.dump());
  }
  recipe.*member = value.get<double>();
}

void set_member(Recipe& recipe, bool Recipe::*member, const Json& value, const std::string& at) {
  if (!value.is_boolean()) {
    fail(ErrorCode::kBadInput, "{} must be true or false, not {}", at, value.dump());
  }
  recipe.*member = value.get<bool>();
}

void set_member(Recipe& recipe, std::string Recipe::*member, const Json& value,
                const std::string& at) {
  if (!value.is_string()) {
    fail(ErrorCode::kBadInput, "{} must be a text, not {}", at, value.dump());
  }
  recipe.*member = value.get<std::string>();
}

void set_member(Recipe& recipe, std::vector<DataSource> Recipe::*member, const Json& value,
                const std::string& at) {
  recipe.*member = data_from_json(value, at);
}

template <typename T>
Json member_json(const T& value) {
  return value;
}
Json member_json(const std::vector<DataSource>& sources) { return data_to_json(sources); }

// Whether `json` gives a field another text than it has.
bool changes(const Json& json, const char* field, const std::string& value) {
  const auto found = json.find(field);
  return found != json.end() && found->is_string() && found->get<std::string>() != value;
}

// Back to "by family" for what followed from a field that `json` changes.
void forget_derived(Recipe& r, const Json& json) {
  const Recipe fresh;
  const bool family = changes(json, "family", r.family);
  const bool linear = family || changes(json, "linear", r.linear);
  if (family) {
    r.linear = fresh.linear;
    r.norm = fresh.norm;
    r.hidden_act = fresh.hidden_act;
  }
  if (linear) {
    r.schedule = fresh.schedule;
    r.learning_rate = fresh.learning_rate;
    r.weight_decay = fresh.weight_decay;
    r.adam_beta2 = fresh.adam_beta2;
    r.grad_clip = fresh.grad_clip;
  }
  if (linear || json.contains("learning_rate")) r.learning_rate_2 = fresh.learning_rate_2;
  if (linear || json.contains("weight_decay") || changes(json, "schedule", r.schedule)) {
    r.weight_decay_2 = fresh.weight_decay_2;
  }
  if (json.contains("tokens") != json.contains("steps")) r.tokens = r.steps = 0;
}

}  // namespace

std::span<const RecipeField> recipe_fields() { return kFields; }

void apply_json(Recipe& recipe, const Json& json, const std::string& origin) {
  if (!json.is_object()) fail(ErrorCode::kBadInput, "{}: a JSON object is expected", origin);
  forget_derived(recipe, json);
  for (const auto& [key, value] : json.items()) {
    const auto field = std::find_if(kFields.begin(), kFields.end(),
                                    [&](const RecipeField& f) { return key == f.name; });
    if (field == kFields.end()) {
      fail(ErrorCode::kBadInput, "{}: unknown field '{}' (`tercet pretrain --help` lists them)",
           origin, key);
    }
    std::visit([&](auto member) { set_member(recipe, member, value, origin + ": " + key); },
               field->member);
  }
}

Json to_json(const Recipe& recipe) {
  Json json = Json::object();
  for (const RecipeField& field : kFields) {
    std::visit([&](auto member) { json[field.name] = member_json(recipe.*member); }, field.member);
  }
  return json;
}

}  // namespace tercet::learn
