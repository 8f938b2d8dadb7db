// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

#include "learn/ptq/block.h"

namespace tercet::learn {

// Root mean squares of the channels of a block's inputs, in the order of inputs_of_block();
// undefined: that input is left alone.
using InputMagnitudes = std::array<at::Tensor, 4>;

// Scales every channel of the inputs by a factor 1 / s and the columns of the maps behind it by s,
// s = (its magnitude over the geometric mean)^exponent, so that groups of weights that share a
// scale are weighed by what they do. The factors go into the norm in front, into v_proj's rows (for
// o_proj; query heads with common values have common factors) and into up_proj's (for down_proj):
// in exact arithmetic the block computes what it computed before.
void equalize(const ModelConfig& config, const InputMagnitudes& magnitudes, double exponent,
              BlockWeights& weights);

}  // namespace tercet::learn
