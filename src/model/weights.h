// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "formats/model_config.h"
#include "model/input_form.h"
#include "model/stored_type.h"
#include "packing/ternary.h"

namespace tercet {

// Owns what weights view that does not lie in a mapped file. Grows without moving what it holds.
struct WeightStorage {
  std::deque<std::vector<uint8_t>> bytes;
  std::deque<std::vector<float>> floats;
};

// A weight matrix [rows, cols] in its stored form: a view into a mapped file or a WeightStorage;
// nothing is unpacked or copied but the scales of ternary blocks.
struct LinearWeights {
  std::string name;  // as the file calls it
  StoredType type = StoredType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  std::span<const uint8_t> data;  // row-major rows of `row_stride` bytes (codes only if ternary)
  int64_t row_stride = 0;
  uint64_t stored_bytes = 0;  // all of it: codes, scales, headers, padding, sidecar

  // Whether inputs are rounded to int8 per token (BitNet b1.58); else the map takes them as they
  // are. Only ternary types that the integer kernels take.
  bool int8_activations = false;
  InputForm input;  // of those that are

  // Those ternary types only. W[r][c] = code[r][c] * scale; see packing::TernaryMatrix for their
  // order.
  packing::ScaleScope scope = packing::ScaleScope::kTensor;
  int64_t group_size = 0;  // columns per scale (cols unless kGroup)
  std::span<const float> scales;
  bool half_scales = false;  // as the file has them

  // Each empty when there is none: the RMS norm at the input, [cols]; what inputs are multiplied
  // with, [cols] (OneBit, whose outputs get a LayerNorm without weights); what is added to the
  // product, [rows].
  std::vector<float> input_norm;
  std::vector<float> input_scale;
  std::vector<float> bias;

  bool has_own_input() const { return !input_norm.empty() || !input_scale.empty(); }
  uint64_t vector_bytes() const {
    return (input_norm.size() + input_scale.size() + bias.size()) * sizeof(float);
  }
};

// One decoder layer. Norm vectors are empty where the architecture has none.
struct LayerWeights {
  std::vector<float> attention_norm;  // [hidden]
  LinearWeights q;                    // [n_heads * head_dim, hidden]
  LinearWeights k;                    // [n_kv_heads * head_dim, hidden]
  LinearWeights v;
  std::vector<float> q_norm;               // [head_dim], over each head before it is rotated
  std::vector<float> k_norm;               // [head_dim]
  std::vector<float> attention_sub_norm;   // [n_heads * head_dim]
  LinearWeights o;                         // [hidden, n_heads * head_dim]
  std::vector<float> post_attention_norm;  // [hidden], before the residual is added
  std::vector<float> ffn_norm;             // [hidden]
  LinearWeights gate;                      // [intermediate, hidden]
  LinearWeights up;
  std::vector<float> ffn_sub_norm;   // [intermediate]
  LinearWeights down;                // [hidden, intermediate]
  std::vector<float> post_ffn_norm;  // [hidden], before the residual is added
};

struct ModelWeights {
  LinearWeights embedding;          // [vocab, hidden]
  std::vector<float> rope_factors;  // [rotary dimensions / 2] for RopeType::kLlama3, else empty
  std::vector<LayerWeights> layers;
  std::vector<float> final_norm;  // [hidden]
  LinearWeights head;             // [vocab, hidden]; views the embedding when tied
};

// Where a tensor belongs: exactly one of the two is set.
struct WeightSlot {
  LinearWeights* matrix = nullptr;
  std::vector<float>* vector = nullptr;
};

// The place in `weights` (whose layers are already counted) of the tensor `gguf_name`, one of those
// that tensor_specs() lists. Throws kInternal for any other name.
WeightSlot find_slot(ModelWeights& weights, const std::string& gguf_name);
// The matrix of that name, nullptr for a vector's.
const LinearWeights* find_matrix(const ModelWeights& weights, const std::string& gguf_name);

}  // namespace tercet
