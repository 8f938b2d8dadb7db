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
  bool packed = false;         // four rows to a byte; its type then says nothing
  int64_t permuted_heads = 0;  // heads whose rows change their order (q and k); 0 for none
  int64_t rotary_dim = 0;      // leading rows of each head that move
  bool to_adjacent = false;    // the order they change to: adjacent pairs, else half-split
  // Of a ternary tensor: how far its scales reach, and whether that of the whole tensor goes into
  // one of its own (beside tq1_0 and tq2_0 blocks, whose own scales are then 1).
  ScaleReach reach;
  bool scale_tensor = false;
  packing::ScaleType scale_type = packing::ScaleType::kF32;  // in Tercet's own layouts
  bool allow_rounding = false;                               // of scales to f16
};

// Everything that is decided before the first byte is written.
struct ConvertPlan {
  std::string architecture;  // GGUF's; empty for an HF directory
  ModelConfig config;        // of the file to write
  StoredType linear_type = StoredType::kF16;
  StoredType rest_type = StoredType::kF16;
  StoredType embedding_type = StoredType::kF16;
  std::vector<PlannedTensor> tensors;
  bool to_hf = false;
  bool packed = false;  // an HF directory with the linear maps four rows to a byte
};

// Order of the rows of a matrix in the target in terms of the source; empty when none moves.
std::vector<int64_t> row_order(const PlannedTensor& tensor);

// Throws kUsage for types that the model or its shapes cannot take. Reads the scales of all ternary
// matrices.
ConvertPlan plan_conversion(const WeightSource& source, const ConvertOptions& options);

}  // namespace tercet
