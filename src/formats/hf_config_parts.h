// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "formats/hf_model.h"
#include "formats/json_fields.h"
#include "formats/model_config.h"

namespace tercet {

// The parts that model_config_from_json() reads one after the other. `fields` is the object that
// holds the text model's settings. Each throws kBadInput / kUnsupported naming the field.

// Whether a family has one rope_parameters object per kind of layer (Gemma 3), with what bases.
struct RopeDefaults {
  float theta = 10000.0f;
  float local_theta = 0.0f;  // of sliding layers; 0: they rotate as the others do
};

// rope_theta, rope_scaling, rope_parameters, partial_rotary_factor. Needs head_dim and
// max_position_embeddings.
void read_rope(const JsonFields& fields, const RopeDefaults& defaults, ModelConfig& config);

// How a family says which layers slide.
enum class WindowRule {
  kNone,      // none does
  kAll,       // sliding_window: all do (Mistral)
  kSwitched,  // the same if use_sliding_window, from max_window_layers on (Qwen)
  kPattern,   // all but every sliding_window_pattern-th (Gemma 3)
  kListed,    // those of layer_types, all without it; none without sliding_window (Tercet)
};

// sliding_window, layer_types and what the rule names. Needs num_hidden_layers.
void read_windows(const JsonFields& fields, WindowRule rule, ModelConfig& config);

// quantization_config: linear, norm and nothing else. `fields` is the whole file.
void read_quantization(const JsonFields& fields, bool is_bitnet, ModelConfig& config);
// Its modules_to_not_convert. Needs a valid configuration, complete but for dense_maps.
void read_dense_maps(const JsonFields& fields, ModelConfig& config);

// The mark of given ternary weights. `fields` is the whole file.
std::optional<GivenTernary> read_given_ternary(const JsonFields& fields);
// What follows from it: linear and dense_maps where inputs are rounded to int8, nothing otherwise.
// Needs a valid configuration.
void apply_given_ternary(const JsonFields& fields, ModelConfig& config);

}  // namespace tercet
