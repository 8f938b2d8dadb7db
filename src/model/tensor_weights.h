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

// How a file's i2_s blocks are ordered, which their bytes do not show.
enum class I2SOrder { kWide, kNarrow };  // blocks of 128 (x86) or of 64 (ARM)

// Where a matrix lies beside the tensor that carries its name.
struct MatrixParts {
  const TensorView* scale = nullptr;  // the scale of tq1_0 and tq2_0 blocks; nullptr for 1
  I2SOrder i2s_order = I2SOrder::kWide;
};

// A matrix of any type in place. With `spec.low_bit` ternary codes meet int8 activations; `storage`
// takes the scales of ternary blocks.
LinearWeights matrix_weights(const TensorView& tensor, const MatrixParts& parts,
                             const TensorSpec& spec, const std::string& origin,
                             WeightStorage& storage);

// A norm's weights; kBadInput when one is not finite.
std::vector<float> dense_vector(const TensorView& tensor, const TensorSpec& spec,
                                const std::string& origin);

// A matrix in one of Tercet's own layouts in place, scales included unless they are f16: these go
// into `storage`. `name` as the file calls it.
LinearWeights own_weights(const std::string& name, std::span<const uint8_t> payload,
                          const TensorSpec& spec, const std::string& origin,
                          WeightStorage& storage);

}  // namespace tercet
