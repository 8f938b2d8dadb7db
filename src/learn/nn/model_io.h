// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "learn/nn/transformer.h"

namespace tercet::learn {

// Writes config.json and model.safetensors (latent f32 weights) into an existing directory, in the
// form that transformers loads (formats/hf_model.h). Tokenizer files are the caller's.
void save_model(const Transformer& model, const std::filesystem::path& directory);

// The model of an HF directory. Throws kIo / kBadInput naming file and tensor.
Transformer load_model(const std::filesystem::path& directory, at::Device device);

// Replaces the weights of `model` by those of the directory, whose config must be equal.
void load_weights(Transformer& model, const std::filesystem::path& directory);

// Bytes of a contiguous CPU tensor under a name, for write_safetensors. f32 and int64 only.
TensorView tensor_view(const std::string& name, const at::Tensor& tensor);

}  // namespace tercet::learn
