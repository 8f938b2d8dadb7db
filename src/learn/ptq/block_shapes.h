// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "formats/model_config.h"
#include "learn/ptq/options.h"

namespace tercet::learn {

// A linear map of a block, for plans; whether it is the last of those that share its input, and
// whether it writes to the residual stream.
struct MapShape {
  double rows, cols;
  bool last_of_input;
  bool writes_residual;
  // Shares of the layers: in which it is quantized, and in which any map of its input is.
  double chosen = 1;
  double gathers = 1;
  double weights() const { return rows * cols; }
};

// In the order in which a run takes them.
std::array<MapShape, 7> block_shapes(const ModelConfig& config, const PtqOptions& options);

}  // namespace tercet::learn
