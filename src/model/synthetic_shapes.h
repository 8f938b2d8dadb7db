// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "formats/model_config.h"

namespace tercet {

// A model whose shape is known and whose weights may be random: for measuring speed and memory.
struct SyntheticShape {
  const char* name;         // on the command line: "2b4t"
  const char* description;  // of whose shape it is
  ModelConfig config;
  // Layers that are worth holding in memory; the others repeat them. 0: all.
  int64_t distinct_layers = 0;
};

// BitNet b1.58 700M, 3B and 2B4T, LLaMA 7B, 13B and 70B; those of BitNet also with LLaMA's blocks
// (pre-norms and SiLU), which more programs run. b1.58 but for those named onebit.
std::span<const SyntheticShape> synthetic_shapes();

// Throws kUsage naming the choices.
const SyntheticShape& find_synthetic_shape(std::string_view name);
// "700m, 3b, ..."
std::string synthetic_shape_names();

}  // namespace tercet
