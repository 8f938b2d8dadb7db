// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace tercet {

struct ModelConfig;

// What low-bit linear maps do besides what their LinearKind says; by default nothing. Field names
// are those of Tercet's own config.json, of its GGUF keys and of recipes.
struct BitnetVariants {
  // kB158. 4: inputs are rounded to [-8, 7] by sqrt(7) / mean |x| per token, but for those of
  // o_proj and down_proj, which stay int8 unless they pass a Hadamard transform (BitNet a4.8 and
  // v2, methods.md 4 and 5).
  int64_t activation_bits = 8;
  // kB158. The share of o_proj's inputs that is kept, the largest of each token; the others are
  // zero.
  float o_proj_top_k = 1.0f;
  // kB158. The inputs of o_proj and down_proj pass a Walsh-Hadamard transform of hadamard_block()
  // neighbours before they are rounded.
  bool hadamard = false;
  // kB1 with norms inside-plain. Columns fall into so many groups, each with a norm, means and
  // scales of its own (methods.md 1.1).
  int64_t quant_groups = 1;
  // kB1. From the inputs of gate_proj and up_proj their smallest element is subtracted, so that
  // they are rounded to [0, 127], and what the map makes of it is added again.
  bool shifted_gate_input = false;

  bool any() const { return *this != BitnetVariants{}; }
  bool operator==(const BitnetVariants&) const = default;
};

// Elements that a Hadamard transform of n takes together: the largest power of two that divides n.
int64_t hadamard_block(int64_t n);

// How many of n inputs a share in (0, 1] keeps: the nearest number, at least one.
int64_t kept_inputs(float share, int64_t n);

// Throws kBadInput naming the field when the variants contradict each other or the rest of
// `config`.
void check_variants(const ModelConfig& config, const std::string& origin);

}  // namespace tercet
