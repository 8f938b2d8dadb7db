// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "formats/json.h"
#include "formats/model_config.h"
#include "formats/safetensors.h"

namespace tercet {

// config.json of an HF model directory <-> ModelConfig. Reads `llama` and `bitnet`. A `bitnet`
// model, or a `llama` one with quantization_config {quant_method: bitnet, linear_class:
// autobitlinear, quantization_mode: online}, has LinearKind::kB158; with use_rms_norm
// NormPlacement::kInside. Throws kBadInput / kUnsupported naming `origin` and the field.
ModelConfig model_config_from_json(const Json& json, const std::string& origin);

// The config.json to write so that transformers loads the directory and computes the same: `llama`
// for kDense + kPre, `bitnet` for kB158 + kSub, `llama` + quantization_config for kB158 + kPre or
// kInside. What transformers cannot express (dense with sub-norms, heads that do not fill
// hidden_size in a bitnet model ...) is written with model_type "tercet", which it refuses by name.
// Beside a kInside model, transformers also needs the layers' input_layernorm and
// post_attention_layernorm, all ones. Throws kBadInput for an invalid config.
Json model_config_to_json(const ModelConfig& config);

// Tensor name -> file name of the shard that holds it, from model.safetensors.index.json. Throws
// kBadInput naming `origin` when weight_map is missing, or names anything but plain file names.
std::map<std::string, std::string> weight_map_from_json(const Json& json,
                                                        const std::string& origin);

// An HF model directory: config.json and one model.safetensors (or model.safetensors.index.json
// with its shards, whose names must be plain file names in the directory). Tensors are views into
// mapped files; shapes of all tensors of the architecture are checked against the config.
class HfModel {
 public:
  explicit HfModel(const std::filesystem::path& directory);
  const std::filesystem::path& directory() const { return directory_; }
  const ModelConfig& config() const { return config_; }
  const TensorView& tensor(const std::string& hf_name) const;
  const TensorView* find_tensor(const std::string& hf_name) const;
  // Bytes of all tensors in the files.
  uint64_t file_bytes() const;

 private:
  std::filesystem::path directory_;
  ModelConfig config_;
  std::vector<SafetensorsFile> files_;
};

}  // namespace tercet
