// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formats/json.h"
#include "formats/model_config.h"
#include "formats/safetensors.h"

namespace tercet {

// config.json of an HF model directory <-> ModelConfig, of the model types that docs/models.md
// lists. A `bitnet` model, or any with quantization_config {quant_method: bitnet}, has
// LinearKind::kB158; with use_rms_norm NormPlacement::kPreInside (kInside if it says "norm":
// "inside", as Tercet writes it). Throws kBadInput / kUnsupported naming `origin` and the field.
ModelConfig model_config_from_json(const Json& json, const std::string& origin);

// The config.json to write so that transformers loads the directory and computes the same: the
// model type that has these features, and for kB158 a quantization_config for latent weights
// (quantization_mode online). What transformers cannot express (dense with sub-norms, heads that do
// not fill hidden_size in a bitnet model ...) is written with model_type "tercet", which it refuses
// by name.
// Beside a kInside model, transformers also needs the layers' input_layernorm and
// post_attention_layernorm, all ones. Throws kBadInput for an invalid config, kUnsupported where
// rotary frequency factors are all that is known of their scaling.
Json model_config_to_json(const ModelConfig& config);

// Tensor name -> file name of the shard that holds it, from model.safetensors.index.json. Throws
// kBadInput naming `origin` when weight_map is missing, or names anything but plain file names.
std::map<std::string, std::string> weight_map_from_json(const Json& json,
                                                        const std::string& origin);

// The mark in config.json of a model whose linear maps hold ternary weights multiplied out: in each
// reach of a scale every weight is -s, 0 or s. transformers takes the model for the dense one that
// it also is; here its codes are packed, without loss.
struct GivenTernary {
  bool one_scale = false;  // of the whole matrix
  int64_t group_size = 0;  // columns per scale; 0: the whole row
  bool int8_activations = false;
  std::vector<std::string> dense_maps;  // HF module names of maps that are not ternary, sorted

  bool operator==(const GivenTernary&) const = default;
};
inline constexpr const char* kGivenTernaryKey = "ternary_weights";
Json given_ternary_to_json(const GivenTernary& given);

// How a directory holds the low-bit maps of a kB158 model.
struct HfTernaryStorage {
  // Four codes in a byte, rows r, r + R/4, r + R/2 and r + 3R/4 of a column sharing it, with a
  // weight_scale beside; else latent floats.
  bool packed = false;
  // Packed weights are code / weight_scale, else code * weight_scale.
  bool reciprocal_scale = false;
  // Also of dense models, whose maps are then packed but take inputs as they are.
  std::optional<GivenTernary> given;

  bool operator==(const HfTernaryStorage&) const = default;
};

// From quantization_config and the mark of given ternary weights; latent without them.
HfTernaryStorage ternary_storage_from_json(const Json& json, const std::string& origin);

// An HF model directory: config.json and one model.safetensors (or model.safetensors.index.json
// with its shards, whose names must be plain file names in the directory). Tensors are views into
// mapped files; shapes of all tensors of the architecture are checked against the config.
class HfModel {
 public:
  explicit HfModel(const std::filesystem::path& directory);
  const std::filesystem::path& directory() const { return directory_; }
  const ModelConfig& config() const { return config_; }
  const HfTernaryStorage& ternary_storage() const { return ternary_storage_; }
  // By the names of TensorSpec, whatever prefix a multimodal model puts before its text half.
  const TensorView& tensor(const std::string& hf_name) const;
  const TensorView* find_tensor(const std::string& hf_name) const;
  // Says that the bytes of `tensor` are not needed soon; see MappedFile::release().
  void release(const TensorView& tensor) const;
  // Bytes of all tensors in the files.
  uint64_t file_bytes() const;

 private:
  std::filesystem::path directory_;
  ModelConfig config_;
  HfTernaryStorage ternary_storage_;
  std::string text_prefix_;  // stands for "model." in the files
  std::vector<SafetensorsFile> files_;
};

}  // namespace tercet
