// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tercet {

// The gate of the feed-forward block: down(act(gate(x)) * up(x)).
enum class Activation { kSilu, kRelu2 };

// What the linear maps of attention and feed-forward are.
enum class LinearKind {
  kDense,  // full precision
  kB158,   // BitNet b1.58: absmean ternary weights, per-token absmax int8 activations
};

// Where RMS norms stand relative to the linear maps (methods.md sections 2.1 and 3).
enum class NormPlacement {
  kPre,     // LLaMA: one before attention, one before feed-forward
  kSub,     // BitNet b1.58 2B4T: as kPre, plus one before o_proj and one before down_proj
  kInside,  // BitNet b1.58 paper: every linear map has its own at its input, none elsewhere
};

// The shape of a decoder-only transformer. Field names are those of HF's config.json.
struct ModelConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  float rms_norm_eps = 1e-5f;
  float rope_theta = 10000.0f;
  Activation hidden_act = Activation::kSilu;
  LinearKind linear = LinearKind::kDense;
  NormPlacement norm = NormPlacement::kPre;
  bool tie_word_embeddings = true;
  int32_t bos_token_id = 1;
  std::vector<int32_t> eos_token_ids = {2};

  // Throws kBadInput naming the field (prefixed by `origin`, e.g. the file) when the numbers
  // contradict each other or exceed sane bounds.
  void validate(const std::string& origin) const;

  // Weights in all tensors, a tied head counted once.
  int64_t parameter_count() const;
  // Weights in the linear maps of attention and feed-forward only.
  int64_t linear_parameter_count() const;

  bool operator==(const ModelConfig&) const = default;
};

// "silu" | "relu2", "dense" | "b1.58", "pre" | "sub" | "inside"; parse_* throw kBadInput naming
// the value and the choices.
const char* to_string(Activation value);
const char* to_string(LinearKind value);
const char* to_string(NormPlacement value);
Activation parse_activation(const std::string& text);
LinearKind parse_linear_kind(const std::string& text);
NormPlacement parse_norm_placement(const std::string& text);

// A weight tensor the architecture has: its HF name, its GGUF name, its shape [rows, cols]
// (cols = 1-d length when rows == 0) and whether it is one of the low-bit linear maps.
struct TensorSpec {
  std::string hf_name;
  std::string gguf_name;
  int64_t rows = 0;  // 0 for vectors
  int64_t cols = 0;
  bool low_bit = false;
};

// Every tensor of the model, in file order (embedding, layers 0.., final norm, head).
std::vector<TensorSpec> tensor_specs(const ModelConfig& config);

}  // namespace tercet
