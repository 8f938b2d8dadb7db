// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "formats/hf_model.h"
#include "formats/tensor.h"

namespace tercet::learn {

// How the GGUF file of a quantized model holds embedding and head; empty: as the source has them,
// which is how the HF directory does.
struct RestTypes {
  std::optional<DType> embedding;
  std::optional<DType> head;
};

// "f32", "f16", "bf16", "q8_0" or "q6_k". Throws kUsage naming `option`.
DType parse_rest_type(const std::string& text, const char* option);

// Throws kUsage where the rows of embedding and head do not fill blocks of these types, or where
// both are one matrix and the types differ.
void check(const RestTypes& types, const ModelConfig& config, const std::string& origin);

// matrix: [rows, cols] f32. Its values as they come back from a file of this type. Throws kBadInput
// naming `name` for values that the type cannot hold.
at::Tensor as_stored(const at::Tensor& matrix, DType type, const std::string& name);

// A tensor of the model as f32, through `type` where given. Holds some rows at a time beside the
// result, and lets go of the file's pages.
at::Tensor read_tensor(const HfModel& model, const std::string& name,
                       std::optional<DType> type = std::nullopt);

}  // namespace tercet::learn
