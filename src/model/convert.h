// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "model/stored_type.h"

namespace tercet {

struct ConvertOptions {
  // Of the linear maps of attention and feed-forward. Empty: for a b1.58 model tq2_0 where it can
  // hold every matrix, else trit5; for a dense model f16.
  std::optional<StoredType> linear_type;
  // Of embedding and head, one of f32, f16, bf16, q8_0. Empty: the linear type where that is dense,
  // else f16.
  std::optional<StoredType> rest_type;
};

struct ConvertReport {
  std::string architecture;  // as written
  StoredType linear_type = StoredType::kF16;
  StoredType rest_type = StoredType::kF16;
  int64_t tensors = 0;
  uint64_t bytes = 0;                 // of the file
  double linear_bits_per_weight = 0;  // of the linear maps, every scale and padding counted
  double model_bits_per_weight = 0;   // of all tensors
  std::string tokenizer_note;         // why there is no tokenizer in the file; empty if there is
};

// Called after each tensor; `name` is its GGUF name.
using ConvertProgress = std::function<void(int64_t done, int64_t total, std::string_view name)>;

// Writes the model at `source` (HF directory or GGUF file) as the GGUF file `target`, tensor by
// tensor. Latent b1.58 weights are quantized by absmean per tensor; ternary weights change their
// layout losslessly, scales included; to a dense type they are multiplied out, which gives a dense
// model (no int8 activations). Norms are f32. `target` appears only when complete and replaces a
// file of that name.
// Throws kUsage when target is the source, a directory or no regular file, for a ternary type on a
// dense model, and where a type does not fit a row length (naming the tensor and what to use);
// kInterrupted when *stop becomes true; and what reading the source throws.
// progress may be empty, stop may be nullptr.
ConvertReport convert(const std::filesystem::path& source, const std::filesystem::path& target,
                      const ConvertOptions& options, const ConvertProgress& progress,
                      const std::atomic<bool>* stop);

}  // namespace tercet
