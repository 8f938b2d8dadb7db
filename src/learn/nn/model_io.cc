// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/model_io.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "formats/hf_model.h"

namespace tercet::learn {
namespace {

// transformers' decoder layers apply these norms before each BitLinear with its own norm. A gain of
// one makes them harmless: normalizing twice is normalizing once (up to eps).
std::vector<std::string> neutral_norms(const ModelConfig& config) {
  std::vector<std::string> names;
  if (config.norm != NormPlacement::kInside) return names;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string base = "model.layers." + std::to_string(i) + ".";
    names.push_back(base + "input_layernorm.weight");
    names.push_back(base + "post_attention_layernorm.weight");
  }
  return names;
}

}  // namespace

TensorView tensor_view(const std::string& name, const at::Tensor& tensor) {
  TensorView view;
  view.name = name;
  view.type = tensor.scalar_type() == at::kLong ? DType::kI64 : DType::kF32;
  view.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
  view.bytes = {static_cast<const uint8_t*>(tensor.data_ptr()), tensor.nbytes()};
  return view;
}

void save_model(const Transformer& model, const std::filesystem::path& directory) {
  std::vector<at::Tensor> owned;  // keeps copies from other devices alive until written
  std::vector<TensorView> views;
  for (const Parameter& parameter : model.parameters()) {
    owned.push_back(parameter.value.detach().to(at::kCPU).contiguous());
    views.push_back(tensor_view(parameter.name, owned.back()));
  }
  const at::Tensor ones = at::ones({model.config().hidden_size}, at::kFloat);
  for (const std::string& name : neutral_norms(model.config())) {
    views.push_back(tensor_view(name, ones));
  }
  write_safetensors(directory / "model.safetensors", views, {{"format", "pt"}});
  write_text_file(directory / "config.json", model_config_to_json(model.config()).dump(2) + "\n");
}

void load_weights(Transformer& model, const std::filesystem::path& directory) {
  const HfModel source(directory);
  if (!(source.config() == model.config())) {
    fail(ErrorCode::kBadInput, "'{}' holds a model of another shape than this run's",
         (directory / "config.json").string());
  }
  const at::NoGradGuard no_gradients;
  for (Parameter& parameter : model.parameters()) {
    const std::vector<float> values = to_f32(source.tensor(parameter.name));
    const at::Tensor loaded =
        at::from_blob(const_cast<float*>(values.data()), parameter.value.sizes(), at::kFloat);
    parameter.value.copy_(loaded);
  }
}

Transformer load_model(const std::filesystem::path& directory, at::Device device) {
  Transformer model(HfModel(directory).config(), 0, device);
  load_weights(model, directory);
  return model;
}

}  // namespace tercet::learn
