// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "formats/bitnet_variants.h"

namespace tercet {

// More layers than this are refused.
inline constexpr int64_t kMaxLayers = 4096;

// The gate of the feed-forward block: down(act(gate(x)) * up(x)).
enum class Activation {
  kSilu,
  kRelu2,     // max(x, 0)^2
  kGeluTanh,  // GELU in its tanh approximation
};

// What the linear maps of attention and feed-forward are.
enum class LinearKind {
  kDense,  // full precision
  kB158,   // BitNet b1.58: absmean ternary weights, per-token absmax int8 activations
  kB1,     // BitNet b1: weights sign(W - mean W) mean |W|, the same activations
  // OneBit (methods.md 7.1): LayerNorm(((x . g) sign(W)^T) . h), g [cols] a tensor of its own, h
  // the scales of rows; int8 activations too.
  kOneBit,
};

// Whether the linear maps of layers are ternary or binary and meet int8 activations.
inline bool has_low_bit_maps(LinearKind kind) { return kind != LinearKind::kDense; }

// Of LayerNorms without weights: behind OneBit's maps and inside b1's.
inline constexpr float kPlainNormEps = 1e-5f;

// Where RMS norms stand relative to the linear maps (methods.md sections 2.1 and 3).
enum class NormPlacement {
  kPre,          // LLaMA: one before attention, one before feed-forward
  kSub,          // BitNet b1.58 2B4T: as kPre, plus one before o_proj and one before down_proj
  kInside,       // BitNet b1.58 paper: every linear map has its own at its input, none elsewhere
  kInsidePlain,  // BitNet b1 paper: as kInside, but a LayerNorm without weights
  kPreInside,    // both kPre and kInside: what transformers does for use_rms_norm
  kSandwich,     // Gemma 3: as kPre, plus one behind attention and one behind feed-forward
};

// Whether there is a norm before attention and one before feed-forward.
inline bool has_block_norms(NormPlacement norm) {
  return norm != NormPlacement::kInside && norm != NormPlacement::kInsidePlain;
}
// Whether every linear map of the layers has an RMS norm of its own at its input.
inline bool has_input_norms(NormPlacement norm) {
  return norm == NormPlacement::kInside || norm == NormPlacement::kPreInside;
}

// How rotary frequencies are stretched to contexts longer than those trained on.
enum class RopeType {
  kDefault,  // not at all
  kLinear,   // all divided by `factor`
  kLlama3,   // low ones divided by `factor`, high ones kept, a ramp between
  kYarn,     // the same with a ramp over dimensions, and cosines and sines times attention_factor
};

// The constants of a RopeType, under the names of HF's rope_parameters; neutral where unused.
struct RopeScaling {
  RopeType type = RopeType::kDefault;
  float factor = 1.0f;
  // kLlama3 and kYarn. 0 for kLlama3: the constants are not known, only the factors that they gave
  // (a GGUF file holds those as a tensor).
  int64_t original_max_position_embeddings = 0;
  float low_freq_factor = 1.0f;   // kLlama3
  float high_freq_factor = 4.0f;  // kLlama3
  float beta_fast = 32.0f;        // kYarn
  float beta_slow = 1.0f;         // kYarn
  bool truncate = true;           // kYarn: the ramp starts and ends at whole dimensions
  float attention_factor = 1.0f;  // kYarn, with mscale and mscale_all_dim worked in

  bool operator==(const RopeScaling&) const = default;
};

// The shape of a decoder-only transformer. Field names are those of HF's config.json where it has
// them. The defaults of everything below `eos_token_ids` are LLaMA's.
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
  // Linear maps of layers that are dense in a low-bit model all the same: their HF module names,
  // such as "model.layers.0.mlp.down_proj", sorted.
  std::vector<std::string> dense_maps;
  NormPlacement norm = NormPlacement::kPre;
  BitnetVariants variants;
  bool tie_word_embeddings = true;
  int32_t bos_token_id = 1;
  // Every token that ends a text or a turn, the main one first.
  std::vector<int32_t> eos_token_ids = {2};

  bool attention_bias = false;  // on q, k and v
  bool output_bias = false;     // on o
  bool mlp_bias = false;        // on gate, up and down
  bool qk_norm = false;         // an RMS norm over each head of q and k, before they are rotated
  // HF files hold norm weights as w - 1 (GGUF files as w). Says nothing about the computation.
  bool zero_centered_norms = false;
  float embedding_multiplier = 1.0f;  // of the embedded tokens, before the first layer
  float attention_scale = 0.0f;       // of the scores; 0: 1 / sqrt(head_dim)

  int64_t rotary_dim = 0;  // leading elements of a head that rotate; 0: all of them
  RopeScaling rope_scaling;
  // Sliding layers see the last `sliding_window` positions only, their own included; 0: none does.
  int64_t sliding_window = 0;
  std::vector<bool> sliding_layers;  // [num_hidden_layers]; empty: all of them
  // Base of unscaled rotary frequencies in sliding layers; 0: they rotate as the others do.
  float rope_local_theta = 0.0f;

  bool is_sliding(int64_t layer) const {
    return sliding_window > 0 &&
           (sliding_layers.empty() || sliding_layers[static_cast<size_t>(layer)]);
  }
  int64_t rotary_dimensions() const { return rotary_dim > 0 ? rotary_dim : head_dim; }

  // Throws kBadInput naming the field (prefixed by `origin`, e.g. the file) when the numbers
  // contradict each other or exceed sane bounds.
  void validate(const std::string& origin) const;

  // Weights in all tensors, a tied head counted once.
  int64_t parameter_count() const;
  // Weights in the linear maps of attention and feed-forward only.
  int64_t linear_parameter_count() const;

  bool operator==(const ModelConfig&) const = default;
};

// "silu" | "relu2" | "gelu_pytorch_tanh", "dense" | "b1.58" | "b1" | "onebit", "pre" | "sub" |
// "inside" | "inside-plain" | "pre-inside" | "sandwich", "default" | "linear" | "llama3" | "yarn";
// parse_* throw kBadInput naming the value and the choices.
const char* to_string(Activation value);
const char* to_string(LinearKind value);
const char* to_string(NormPlacement value);
const char* to_string(RopeType value);
Activation parse_activation(const std::string& text);
LinearKind parse_linear_kind(const std::string& text);
NormPlacement parse_norm_placement(const std::string& text);
RopeType parse_rope_type(const std::string& text);

// A weight tensor the architecture has: its HF name, its GGUF name, its shape [rows, cols]
// (cols = 1-d length when rows == 0) and whether it is one of the low-bit linear maps.
// An empty HF name: HF files do not hold the tensor, it follows from the configuration
// (rope_freqs.weight of RopeType::kLlama3, see llama3_frequency_factors()).
struct TensorSpec {
  std::string hf_name;
  std::string gguf_name;
  int64_t rows = 0;  // 0 for vectors
  int64_t cols = 0;
  bool low_bit = false;
  // What to add to the values in an HF file to get the weights: 1 for zero-centred norms.
  float hf_offset = 0.0f;
};

// Every tensor of the model, in file order (embedding, rotary factors, layers 0.., final norm,
// head).
std::vector<TensorSpec> tensor_specs(const ModelConfig& config);

// By what Gemma multiplies its embeddings. Its bf16 runs round it to bf16; everything here is f32.
float gemma_embedding_multiplier(int64_t hidden_size);

// What each rotary frequency is divided by; [rotary_dimensions / 2], all one without kLlama3.
// Throws kUnsupported when the constants are not known.
std::vector<float> llama3_frequency_factors(const ModelConfig& config);

}  // namespace tercet
