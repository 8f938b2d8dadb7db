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
#include "model/weight_source.h"

namespace tercet {

struct ConvertOptions {
  // Of the linear maps of attention and feed-forward. Empty: for ternary maps tq2_0 where it can
  // hold every matrix of a b1.58 model, else trit5; for others f16. In an HF directory: packed for
  // a b1.58 model, else f16.
  std::optional<StoredType> linear_type;
  // Of embedding and head. Empty: the linear type where that is dense, else f16. A ternary type
  // only where the source is ternary there too.
  std::optional<StoredType> rest_type;
  // Of the embedding alone, where it and the head are two matrices. Empty: rest_type.
  std::optional<StoredType> embedding_type = {};
  // Write an HF directory (f32, f16, bf16 or packed) instead of a GGUF file.
  bool to_hf = false;
  // Its linear maps as transformers packs them: four rows of codes to a byte.
  bool packed = false;
  // Its files are cut before they pass this many bytes, tensors staying whole.
  uint64_t max_shard_bytes = 4'500'000'000;
  // Round scales to f16 where the type has such scales; otherwise that is refused.
  bool allow_rounding = false;
  OpenOptions source = {};
};

struct ConvertReport {
  std::string architecture;  // as written; for an HF directory its model_type
  StoredType linear_type = StoredType::kF16;
  StoredType rest_type = StoredType::kF16;
  StoredType embedding_type = StoredType::kF16;
  int64_t tensors = 0;
  uint64_t bytes = 0;                 // of the file, or of the safetensors files
  double linear_bits_per_weight = 0;  // of the linear maps, every scale and padding counted
  double model_bits_per_weight = 0;   // of all tensors
  std::string tokenizer_note;         // why there is no tokenizer in the file; empty if there is
  bool packed = false;                // linear maps of an HF directory
  double largest_rounding = 0;        // relative, of a scale that was rounded to f16
};

// Called after each tensor; `name` is its GGUF name.
using ConvertProgress = std::function<void(int64_t done, int64_t total, std::string_view name)>;

// Writes the model at `source` (HF directory or GGUF file) as the GGUF file or HF directory
// `target`, tensor by tensor, holding a few rows at a time. Latent b1.58 weights are quantized by
// absmean per tensor; ternary weights change their layout losslessly, scales included; to a dense
// type they are multiplied out, which gives a dense model (no int8 activations). Norms are f32.
// `target` appears only when complete; a GGUF file replaces one of that name, a directory must not
// be there or be empty.
// Throws kUsage when target is the source or what must not be replaced, for a ternary type on a
// dense model, and where a type cannot hold a shape, codes or scales (naming the tensor, the reason
// and what to use); kInterrupted when *stop becomes true; and what reading the source throws.
// progress may be empty, stop may be nullptr.
ConvertReport convert(const std::filesystem::path& source, const std::filesystem::path& target,
                      const ConvertOptions& options, const ConvertProgress& progress,
                      const std::atomic<bool>* stop);

// The same of a source that is open already; options.source is not looked at.
ConvertReport convert(const WeightSource& source, const std::filesystem::path& target,
                      const ConvertOptions& options, const ConvertProgress& progress,
                      const std::atomic<bool>* stop);

}  // namespace tercet
