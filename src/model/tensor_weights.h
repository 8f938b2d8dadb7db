// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "formats/model_config.h"
#include "formats/tensor.h"
#include "model/weights.h"

namespace tercet {

// Tensors of a file as weights, their shapes checked against `spec`. `origin` is the file in
// errors; all throw kBadInput for another shape, kUnsupported for a type that does not belong
// there.

// A dense matrix in place.
LinearWeights dense_weights(const TensorView& tensor, const TensorSpec& spec,
                            const std::string& origin);

// A norm's weights; kBadInput when one is not finite.
std::vector<float> dense_vector(const TensorView& tensor, const TensorSpec& spec,
                                const std::string& origin);

// A matrix in one of Tercet's own layouts in place, scales included. `name` as the file calls it.
LinearWeights own_weights(const std::string& name, std::span<const uint8_t> payload,
                          const TensorSpec& spec, const std::string& origin);

// A matrix in llama.cpp's ternary blocks in place, their f16 scales times `sidecar` (an f32 tensor
// of one element, or nullptr for 1) collected in `storage`.
LinearWeights block_weights(const TensorView& tensor, const TensorView* sidecar,
                            const TensorSpec& spec, const std::string& origin,
                            WeightStorage& storage);

}  // namespace tercet
