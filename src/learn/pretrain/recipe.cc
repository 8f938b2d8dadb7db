// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/recipe.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "core/error.h"

namespace tercet::learn {
namespace {

void check_choice(const char* field, const std::string& value,
                  std::initializer_list<const char*> choices) {
  std::string list;
  for (const char* choice : choices) {
    if (value == choice) return;
    list += list.empty() ? choice : std::string(", ") + choice;
  }
  fail(ErrorCode::kUsage, "{} is '{}', it must be one of: {}", field, value, list);
}

void check_range(const char* field, double value, double low, double high) {
  if (value >= low && value <= high) return;
  fail(ErrorCode::kUsage, "{} is {}, it must lie between {} and {}", field, value, low, high);
}

// Peak learning rates by width, from the papers' tables (methods.md 1.2 and 2.2) at the large end
// and from trials at the small one (models/README.md). The small presets bring better ones.
double default_learning_rate(const std::string& linear, int64_t hidden_size) {
  if (linear == "b1") {
    return hidden_size >= 2048   ? 8e-4
           : hidden_size >= 1536 ? 1e-3
           : hidden_size >= 1024 ? 1.2e-3
           : hidden_size >= 768  ? 2.4e-3
                                 : 4e-3;
  }
  const double ternary_rate = hidden_size >= 2048 ? 1.2e-3 : hidden_size >= 1024 ? 1.5e-3 : 4e-3;
  const double dense_rate = hidden_size >= 2048 ? 2e-4 : hidden_size >= 1024 ? 2.5e-4 : 2e-3;
  return linear == "b1.58" ? ternary_rate : dense_rate;
}

// What a family decides where the recipe does not.
struct Family {
  const char* name;
  const char* linear;
  const char* norm;
  const char* hidden_act;
  const char* schedule;
  double weight_decay;
  double adam_beta2;
  double grad_clip;
};
constexpr std::array kFamilies = {
    Family{"b1.58", "b1.58", "pre", "silu", "two-stage", 0.1, 0.95, 1.0},
    Family{"b1", "b1", "inside-plain", "silu", "linear", 0.01, 0.98, 0},
    Family{"llama", "dense", "pre", "silu", "cosine", 0.1, 0.95, 1.0},
};

const Family& family_where(const char* const Family::*field, const std::string& value) {
  return *std::find_if(kFamilies.begin(), kFamilies.end(),
                       [&](const Family& family) { return value == family.*field; });
}

void resolve_family(Recipe& r) {
  check_choice("family", r.family, {"b1.58", "b1", "llama"});
  const Family& family = family_where(&Family::name, r.family);
  if (r.linear.empty()) r.linear = family.linear;
  if (r.norm.empty()) r.norm = family.norm;
  if (r.hidden_act.empty()) r.hidden_act = family.hidden_act;
  check_choice("linear", r.linear, {"b1.58", "b1", "dense"});
  check_choice("norm", r.norm, {"pre", "sub", "inside", "inside-plain"});
  check_choice("hidden_act", r.hidden_act, {"silu", "relu2"});
}

// How a model is trained follows from its linear maps, also where they are not its family's.
void resolve_schedule(Recipe& r) {
  const Family& family = family_where(&Family::linear, r.linear);
  if (r.adam_beta2 == -1) r.adam_beta2 = family.adam_beta2;
  if (r.grad_clip == -1) r.grad_clip = family.grad_clip;
  if (r.schedule.empty()) r.schedule = family.schedule;
  check_choice("schedule", r.schedule, {"two-stage", "cosine", "linear", "constant"});
  if (r.learning_rate == -1) r.learning_rate = default_learning_rate(r.linear, r.hidden_size);
  if (r.learning_rate_2 == -1) r.learning_rate_2 = r.learning_rate * (2.0 / 3.0);
  if (r.weight_decay == -1) r.weight_decay = family.weight_decay;
  if (r.weight_decay_2 == -1) r.weight_decay_2 = r.schedule == "two-stage" ? 0.0 : r.weight_decay;
  check_range("learning_rate", r.learning_rate, 1e-9, 10);
  check_range("learning_rate_2", r.learning_rate_2, 0, 10);
  check_range("min_learning_rate", r.min_learning_rate, 0, r.learning_rate);
  check_range("weight_decay", r.weight_decay, 0, 10);
  check_range("weight_decay_2", r.weight_decay_2, 0, 10);
}

void resolve_amount(Recipe& r, int64_t ranks) {
  check_range("sequence_length", static_cast<double>(r.sequence_length), 2, 1 << 20);
  check_range("batch_size", static_cast<double>(r.batch_size), 1, 1 << 20);
  if (r.micro_batch_size == 0) {
    // What a CPU's caches hold; what keeps a GPU busy.
    const int64_t tokens = r.device == "cuda" ? 16384 : 2048;
    r.micro_batch_size = std::clamp<int64_t>(tokens / r.sequence_length, 1, r.batch_size);
    // One that gives every rank as many; where none does, check_ranks() says so.
    const int64_t share = r.batch_size % ranks == 0 ? r.batch_size / ranks : r.batch_size;
    while (share % r.micro_batch_size != 0) --r.micro_batch_size;
  }
  if (r.micro_batch_size < 1 || r.batch_size % r.micro_batch_size != 0) {
    fail(ErrorCode::kUsage, "micro_batch_size is {}, it must divide batch_size {}",
         r.micro_batch_size, r.batch_size);
  }
  if (r.tokens != 0 && r.steps != 0) {
    fail(ErrorCode::kUsage, "tokens and steps are both given; give one of them");
  }
  if (r.tokens < 0 || r.steps < 0 || (r.tokens == 0 && r.steps == 0)) {
    fail(ErrorCode::kUsage, "give how long to train: tokens or steps, above 0");
  }
  check_range("tokens", static_cast<double>(r.tokens), 0, 1e15);
  const int64_t per_step = r.sequence_length * r.batch_size;
  if (r.steps == 0) r.steps = (r.tokens + per_step - 1) / per_step;
  check_range("steps", static_cast<double>(r.steps), 1, 1e9);
  r.tokens = 0;
  if (r.warmup_steps == -1) r.warmup_steps = std::min<int64_t>(375, r.steps / 20);
  if (r.warmup_steps < 0 || r.warmup_steps > r.steps) {
    fail(ErrorCode::kUsage, "warmup_steps is {}, but the run has {} steps; give fewer, or none",
         r.warmup_steps, r.steps);
  }
}

void check_fading(const Recipe& r) {
  check_range("lambda_start_step", static_cast<double>(r.lambda_start_step), 0, 1e9);
  check_range("lambda_warmup_steps", static_cast<double>(r.lambda_warmup_steps), 0, 1e9);
  const int64_t end = r.lambda_start_step + r.lambda_warmup_steps;
  if (end == 0) return;
  if (r.linear == "dense") {
    fail(ErrorCode::kUsage,
         "lambda_start_step and lambda_warmup_steps are for linear maps that become low-bit, but "
         "linear is 'dense'");
  }
  if (end < r.steps) return;
  fail(ErrorCode::kUsage,
       "lambda_start_step {} and lambda_warmup_steps {} leave none of the {} steps to the low-bit "
       "model; choose smaller ones",
       r.lambda_start_step, r.lambda_warmup_steps, r.steps);
}

void check_input_stages(const Recipe& r) {
  const bool second_stage = r.activation_bits != 8 || r.o_proj_top_k < 1;
  check_range("a8_steps", static_cast<double>(r.a8_steps), 0, static_cast<double>(r.steps - 1));
  if (r.a8_steps > 0 && !second_stage) {
    fail(ErrorCode::kUsage,
         "a8_steps is {}, but what comes after is the same; give activation_bits or o_proj_top_k",
         r.a8_steps);
  }
  const int64_t faded_in = r.lambda_start_step + r.lambda_warmup_steps;
  if (r.o_proj_top_k >= 1 || r.a8_steps >= faded_in) return;
  fail(ErrorCode::kUsage,
       "o_proj_top_k does not fade in with lambda; let it begin afterwards, with a8_steps of {} or "
       "more",
       faded_in);
}

}  // namespace

void check_ranks(const Recipe& resolved, int64_t ranks) {
  const int64_t micro_batches = resolved.batch_size / resolved.micro_batch_size;
  if (micro_batches % ranks == 0) return;
  fail(ErrorCode::kUsage,
       "{} ranks cannot share a step: batch_size {} is {} micro-batches of {} sequences; take a "
       "number of ranks that divides {}, or another batch_size or micro_batch_size",
       ranks, resolved.batch_size, micro_batches, resolved.micro_batch_size, micro_batches);
}

Recipe resolved(const Recipe& recipe, int64_t ranks) {
  Recipe r = recipe;
  resolve_family(r);
  check_range("hidden_size", static_cast<double>(r.hidden_size), 1, 1 << 20);
  check_range("num_attention_heads", static_cast<double>(r.num_attention_heads), 1, 1 << 16);
  check_data_sources(r.data);
  check_choice("document_attention", r.document_attention, {"across", "within"});
  resolve_amount(r, ranks);
  resolve_schedule(r);
  check_fading(r);
  check_input_stages(r);
  check_range("adam_beta1", r.adam_beta1, 0, 0.9999999);
  check_range("adam_beta2", r.adam_beta2, 0, 0.9999999);
  check_range("adam_eps", r.adam_eps, 1e-30, 1);
  check_range("grad_clip", r.grad_clip, 0, 1e9);
  check_range("spike_deviations", r.spike_deviations, 0, 1e9);
  check_choice("precision", r.precision, {"bf16", "f32"});
  check_choice("device", r.device, {"cpu", "cuda"});
  check_range("threads", static_cast<double>(r.threads), 0, 1024);
  check_range("seed", static_cast<double>(r.seed), 0, 9e18);
  check_range("eval_every", static_cast<double>(r.eval_every), 0, 1e9);
  check_range("eval_tokens", static_cast<double>(r.eval_tokens), 1, 1e12);
  check_range("stats_every", static_cast<double>(r.stats_every), 0, 1e9);
  check_range("sample_every", static_cast<double>(r.sample_every), 0, 1e9);
  check_range("sample_tokens", static_cast<double>(r.sample_tokens), 1, 1e5);
  check_range("checkpoint_every", static_cast<double>(r.checkpoint_every), 0, 1e9);
  check_range("keep_checkpoints", static_cast<double>(r.keep_checkpoints), 1, 1e6);
  check_ranks(r, ranks);
  return r;
}

BitnetVariants variants_of(const Recipe& r) {
  BitnetVariants variants;
  variants.activation_bits = r.activation_bits;
  variants.o_proj_top_k = static_cast<float>(r.o_proj_top_k);
  variants.hadamard = r.hadamard;
  variants.quant_groups = r.quant_groups;
  variants.shifted_gate_input = r.shifted_gate_input;
  return variants;
}

ModelConfig model_config(const Recipe& r, int64_t vocab_size, int32_t bos_id, int32_t eos_id) {
  if (r.hidden_size % r.num_attention_heads != 0) {
    fail(ErrorCode::kBadInput,
         "hidden_size is {}, not a multiple of num_attention_heads {}; change either",
         r.hidden_size, r.num_attention_heads);
  }
  ModelConfig config;
  config.vocab_size = vocab_size;
  config.hidden_size = r.hidden_size;
  config.intermediate_size = r.intermediate_size;
  config.num_hidden_layers = r.num_hidden_layers;
  config.num_attention_heads = r.num_attention_heads;
  config.num_key_value_heads = r.num_key_value_heads;
  config.head_dim = r.hidden_size / r.num_attention_heads;
  config.max_position_embeddings = r.sequence_length;
  config.rms_norm_eps = static_cast<float>(r.rms_norm_eps);
  config.rope_theta = static_cast<float>(r.rope_theta);
  config.hidden_act = parse_activation(r.hidden_act);
  config.linear = parse_linear_kind(r.linear);
  config.norm = parse_norm_placement(r.norm);
  config.variants = variants_of(r);
  config.tie_word_embeddings = r.tie_word_embeddings;
  config.bos_token_id = bos_id;
  config.eos_token_ids = {eos_id};
  config.validate("recipe");
  return config;
}

}  // namespace tercet::learn
