// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "formats/model_config.h"
#include "formats/tensor.h"
#include "model/convert.h"
#include "model/rope.h"
#include "model/weight_source.h"

namespace tercet {

// One tensor of the file to write.
struct PlannedTensor {
  TensorSpec spec;  // as the source has it; low_bit tells whether the source is ternary there
  StoredType type = StoredType::kF32;
  bool is_linear = false;      // a linear map of attention or feed-forward
  int64_t permuted_heads = 0;  // heads whose rows change their order (q and k); 0 for none
  int64_t rotary_dim = 0;      // leading rows of each head that move
  bool to_adjacent = false;    // the order they change to: adjacent pairs, else half-split
};

// Everything that is decided before the first byte is written.
struct ConvertPlan {
  std::string architecture;
  ModelConfig config;  // of the file to write
  StoredType linear_type = StoredType::kF16;
  StoredType rest_type = StoredType::kF16;
  std::vector<PlannedTensor> tensors;
};

// Throws kUsage for types that the model or its shapes cannot take.
ConvertPlan plan_conversion(const WeightSource& source, const ConvertOptions& options);

}  // namespace tercet
