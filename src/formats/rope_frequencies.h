// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/model_config.h"

namespace tercet {

// What a rotary position embedding turns by.
struct RopeFrequencies {
  std::vector<double> radians;  // per position, of each pair of elements: [rotary dimensions / 2]
  double amplitude = 1.0;       // cosines and sines are multiplied by it
};

// theta^(-2i / dimensions) of pair i, unscaled.
RopeFrequencies plain_frequencies(int64_t dimensions, double theta);

// Of the layers that do not slide, scaled as config.rope_scaling says. factors: what the
// frequencies are divided by for RopeType::kLlama3, [rotary dimensions / 2]; otherwise not used.
RopeFrequencies scaled_frequencies(const ModelConfig& config, std::span<const float> factors);

}  // namespace tercet
