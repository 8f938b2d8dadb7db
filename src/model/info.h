// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/model_config.h"
#include "model/model.h"

namespace tercet {

// What a person wants to know about a model file.
struct TensorInfo {
  std::string name;            // GGUF name
  std::string type;            // as stored: "f16", "trit5" ...
  std::vector<int64_t> shape;  // outermost first, of the weights (not of the bytes)
  uint64_t bytes = 0;          // as stored, scales included
  bool is_linear = false;      // a linear map of attention or feed-forward
};

struct ModelInfo {
  std::filesystem::path path;
  std::string name;
  std::string format;        // "gguf" or "hf"
  std::string architecture;  // GGUF architecture or HF model_type
  ModelConfig config;
  uint64_t file_bytes = 0;
  std::vector<TensorInfo> tensors;
  int64_t parameters = 0;
  int64_t linear_parameters = 0;
  double linear_bits_per_weight = 0;  // as stored, every scale and padding counted
  double model_bits_per_weight = 0;
  int64_t tokenizer_pieces = 0;  // 0: none, see tokenizer_note
  std::string tokenizer_note;
  // Memory to run it: the weights as they lie in memory, and keys and values at full context, in
  // f16.
  uint64_t weight_bytes = 0;
  uint64_t kv_cache_bytes = 0;
};

ModelInfo describe(const Model& model);

}  // namespace tercet
