// SPDX-License-Identifier: Apache-2.0
#include "model/test_models.h"

#include <algorithm>
#include <cmath>

#include "core/file.h"
#include "core/rng.h"
#include "formats/hf_model.h"
#include "formats/safetensors.h"
#include "model/forward.h"

namespace tercet::test {
namespace {

namespace fs = std::filesystem;

// Roughly normal: the sum of four uniforms.
double bell(Rng& rng) {
  double sum = -2.0;
  for (int i = 0; i < 4; ++i) sum += rng.uniform();
  return sum * std::sqrt(3.0);
}

}  // namespace

ModelConfig tiny_config() {
  ModelConfig config;
  config.vocab_size = 97;
  config.hidden_size = 64;
  config.intermediate_size = 172;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 128;
  return config;
}

ModelConfig tiny_b158_config() {
  ModelConfig config = tiny_config();
  config.linear = LinearKind::kB158;
  config.norm = NormPlacement::kSub;
  config.hidden_act = Activation::kRelu2;
  config.rope_theta = 500000.0f;
  return config;
}

ModelConfig tiny_gemma3_config() {
  ModelConfig config = tiny_config();
  config.num_hidden_layers = 8;
  config.hidden_act = Activation::kGeluTanh;
  config.norm = NormPlacement::kSandwich;
  config.qk_norm = config.zero_centered_norms = true;
  config.embedding_multiplier = gemma_embedding_multiplier(config.hidden_size);
  config.attention_scale = 0.25f;
  config.rope_theta = 1e6f;
  config.rope_local_theta = 1e4f;
  config.sliding_window = 16;
  config.sliding_layers = {true, true, true, true, true, false, true, true};
  return config;
}

ModelConfig wide_b158_config() {
  ModelConfig config = tiny_b158_config();
  config.hidden_size = 256;
  config.intermediate_size = 512;
  config.num_attention_heads = 8;
  config.head_dim = 32;
  return config;
}

FloatWeights random_weights(const ModelConfig& config, uint64_t seed) {
  Rng rng(seed);
  FloatWeights weights;
  for (const TensorSpec& spec : tensor_specs(config)) {
    std::vector<float>& values = weights[spec.hf_name];
    values.resize(static_cast<size_t>(std::max<int64_t>(spec.rows, 1) * spec.cols));
    const double deviation = 1.0 / std::sqrt(static_cast<double>(spec.cols));
    for (float& value : values) {
      value = static_cast<float>(spec.rows == 0 ? 1.0 + 0.2 * bell(rng) : deviation * bell(rng));
    }
  }
  return weights;
}

void write_hf_model(const fs::path& directory, const ModelConfig& config,
                    const FloatWeights& weights) {
  fs::create_directories(directory);
  write_text_file(directory / "config.json", model_config_to_json(config).dump(2));
  std::vector<TensorView> tensors;
  for (const TensorSpec& spec : tensor_specs(config)) {
    if (spec.hf_name.empty()) continue;
    const std::vector<float>& values = weights.at(spec.hf_name);
    TensorView view;
    view.name = spec.hf_name;
    if (spec.rows > 0) view.shape.push_back(spec.rows);
    view.shape.push_back(spec.cols);
    view.bytes = {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)};
    tensors.push_back(view);
  }
  write_safetensors(directory / "model.safetensors", tensors, {{"format", "pt"}});
}

std::vector<int32_t> random_tokens(const ModelConfig& config, int64_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>(rng.below(static_cast<uint64_t>(config.vocab_size)));
  }
  return tokens;
}

std::vector<float> logits_of(const Model& model, const std::vector<int32_t>& tokens,
                             ThreadPool& pool, int64_t chunk) {
  KvCache cache(model.config(), static_cast<int64_t>(tokens.size()));
  std::vector<float> logits(tokens.size() * static_cast<size_t>(model.config().vocab_size));
  Forward(model, select_kernels(""), pool, chunk).run(tokens, cache, logits, LogitsFor::kAll);
  return logits;
}

std::vector<double> relative_rms_rows(const std::vector<double>& reference,
                                      const std::vector<float>& other, int64_t width) {
  std::vector<double> out;
  for (size_t row = 0; row < reference.size(); row += static_cast<size_t>(width)) {
    double difference = 0;
    double magnitude = 0;
    for (size_t i = row; i < row + static_cast<size_t>(width); ++i) {
      const double d = reference[i] - static_cast<double>(other[i]);
      difference += d * d;
      magnitude += reference[i] * reference[i];
    }
    out.push_back(std::sqrt(difference / magnitude));
  }
  return out;
}

}  // namespace tercet::test
