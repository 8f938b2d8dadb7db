// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "formats/model_config.h"
#include "model/test_models.h"

namespace tercet::test {

// The transformer straight from the formulas of the papers, in double, one token after the other,
// with full recomputation and no cache; shares no code with the runtime. Logits of all tokens.
std::vector<double> reference_logits(const ModelConfig& config, const FloatWeights& weights,
                                     const std::vector<int32_t>& tokens);

}  // namespace tercet::test
