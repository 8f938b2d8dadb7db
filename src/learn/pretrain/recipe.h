// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "formats/json.h"
#include "formats/model_config.h"
#include "learn/data/data_source.h"

namespace tercet::learn {

// Everything that decides a pre-training run. The same recipe, data and thread count give the same
// weights bit for bit. Read from a JSON file, from flags, or both (flags win); field names are the
// same in both, with '-' for '_' on the command line.
struct Recipe {
  // What is trained.
  std::string family = "b1.58";  // "b1.58" | "b1" | "llama": decides what is left empty below
  std::string linear;            // "b1.58" | "b1" | "dense"
  std::string norm;              // "pre" | "sub" | "inside" | "inside-plain"
  std::string hidden_act;        // "silu" | "relu2"
  int64_t activation_bits = 8;   // these five: see BitnetVariants
  double o_proj_top_k = 1;
  bool hadamard = false;
  int64_t quant_groups = 1;
  bool shifted_gate_input = false;
  int64_t hidden_size = 256;
  int64_t intermediate_size = 768;
  int64_t num_hidden_layers = 4;
  int64_t num_attention_heads = 4;
  int64_t num_key_value_heads = 2;
  double rope_theta = 10000.0;
  double rms_norm_eps = 1e-5;
  bool tie_word_embeddings = true;

  // Where it starts, and how low-bit maps come to be so.
  std::string init_from;       // an HF directory or a checkpoint of a run; empty: random weights
  bool keep_optimizer = true;  // go on with the optimizer state beside init_from, if there is one
  int64_t lambda_start_step = 0;    // steps before this one train dense maps
  int64_t lambda_warmup_steps = 0;  // then so many, in which the rounding fades in
  int64_t a8_steps = 0;  // steps with plain int8 inputs before activation_bits and o_proj_top_k

  // On what, and how much of it.
  std::vector<DataSource> data;               // directories made by `tercet data build`
  std::string document_attention = "across";  // "across" | "within", see learn/nn/documents.h
  int64_t sequence_length = 256;
  int64_t batch_size = 32;       // sequences per optimizer step
  int64_t micro_batch_size = 0;  // sequences per forward pass; 0: as many as fit 2048 tokens
  int64_t tokens = 0;            // to train on; 0: `steps` decides
  int64_t steps = 0;             // optimizer steps; 0: `tokens` decides

  // How. -1 means: by family (see resolved()).
  std::string schedule;          // "two-stage" | "cosine" | "linear" | "constant"
  double learning_rate = -1;     // peak
  double learning_rate_2 = -1;   // two-stage: peak of the second half
  double min_learning_rate = 0;  // cosine and linear end here
  int64_t warmup_steps = -1;
  double weight_decay = -1;
  double weight_decay_2 = -1;  // two-stage: in the second half
  double adam_beta1 = 0.9;
  double adam_beta2 = -1;
  double adam_eps = 1e-8;
  double grad_clip = -1;           // largest gradient norm; 0: no clipping
  double spike_deviations = 6;     // see LossGuard; 0: spikes are trained on
  std::string precision = "bf16";  // "bf16" | "f32": the type of matrix products
  bool recompute = false;          // blocks run again in the backward pass: less memory
  int64_t seed = 1;
  int64_t threads = 0;         // 0: one per physical core
  std::string device = "cpu";  // "cpu" | "cuda"

  // What it tells on the way.
  int64_t eval_every = 100;     // steps between validation losses; 0: at the end only
  int64_t eval_tokens = 65536;  // of the validation split, from its start
  int64_t stats_every = 20;     // steps between measurements of the weights; 0: none
  int64_t sample_every = 500;   // steps between samples of text; 0: none
  int64_t sample_tokens = 48;
  std::string prompt = "The ";
  int64_t checkpoint_every = 100;  // steps between checkpoints; 0: at the end only
  int64_t keep_checkpoints = 2;
};

// A field by name, for reading, writing and command line options alike.
struct RecipeField {
  using Member = std::variant<int64_t Recipe::*, double Recipe::*, bool Recipe::*,
                              std::string Recipe::*, std::vector<DataSource> Recipe::*>;
  const char* name;
  Member member;
  const char* help;
};
std::span<const RecipeField> recipe_fields();

// Overwrites the fields that `json` names, and returns those that followed from another family,
// kind of linear maps, schedule or rate to "by family". A length in tokens replaces one in steps,
// or the other way round. Throws kBadInput naming `origin` and the field for an unknown name or a
// value of the wrong type.
void apply_json(Recipe& recipe, const Json& json, const std::string& origin);
Json to_json(const Recipe& recipe);

// Fills what was left to the family and checks every number and choice, also that so many ranks can
// share a step; throws kUsage naming the field and the allowed range.
Recipe resolved(const Recipe& recipe, int64_t ranks = 1);
// Throws kUsage unless the ranks can take the same number of a step's micro-batches.
void check_ranks(const Recipe& resolved, int64_t ranks);

// The recipe's variants of low-bit maps.
BitnetVariants variants_of(const Recipe& recipe);

// The architecture, for a tokenizer with these ids. Throws kBadInput naming the field when the
// numbers do not fit together (heads that do not divide, ...).
ModelConfig model_config(const Recipe& recipe, int64_t vocab_size, int32_t bos_id, int32_t eos_id);

}  // namespace tercet::learn
