// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "learn/ptq/block.h"

namespace tercet::learn {

// The maps behind each input of a block, in the order in which a pass meets them.
struct BlockInput {
  std::vector<std::string> maps;
  bool writes_residual;
};
const std::array<BlockInput, 4>& inputs_of_block();

// The norm whose gains the channels of an input come through last; empty: none stands there.
std::string gains_of_input(const ModelConfig& config, const BlockWeights& weights, size_t input);

// Values of a map behind `input` in the block `now`, as they act on what that input is with the
// gains of `before`.
at::Tensor seen_through_gains(const at::Tensor& values, const ModelConfig& config, size_t input,
                              const BlockWeights& before, const BlockWeights& now);

}  // namespace tercet::learn
