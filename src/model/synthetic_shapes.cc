// SPDX-License-Identifier: Apache-2.0
#include "model/synthetic_shapes.h"

#include <array>

#include "core/error.h"

namespace tercet {
namespace {

struct Size {
  int64_t hidden;
  int64_t layers;
  int64_t heads;
  int64_t key_value_heads;
  int64_t intermediate;
  int64_t vocabulary;
};

constexpr Size k700M = {1536, 24, 16, 16, 4096, 32002};
constexpr Size k3B = {3200, 26, 32, 32, 8640, 32002};
constexpr Size k2B4T = {2560, 30, 20, 5, 6912, 128256};
constexpr Size k7B = {4096, 32, 32, 32, 11008, 32000};
constexpr Size k13B = {5120, 40, 40, 40, 13824, 32000};
constexpr Size k70B = {8192, 80, 64, 8, 28672, 32000};

ModelConfig llama(const Size& size, bool tied) {
  ModelConfig config;
  config.vocab_size = size.vocabulary;
  config.hidden_size = size.hidden;
  config.intermediate_size = size.intermediate;
  config.num_hidden_layers = size.layers;
  config.num_attention_heads = size.heads;
  config.num_key_value_heads = size.key_value_heads;
  config.head_dim = size.hidden / size.heads;
  config.max_position_embeddings = 4096;
  config.linear = LinearKind::kB158;
  config.tie_word_embeddings = tied;
  return config;
}

ModelConfig bitnet(const Size& size, Activation activation) {
  ModelConfig config = llama(size, true);
  config.norm = NormPlacement::kSub;
  config.hidden_act = activation;
  if (activation == Activation::kRelu2) config.rope_theta = 500000.0f;
  return config;
}

ModelConfig onebit(const Size& size) {
  ModelConfig config = llama(size, false);
  config.linear = LinearKind::kOneBit;
  return config;
}

std::array<SyntheticShape, 11> make_shapes() {
  return {{
      {"700m", "BitNet b1.58 700M", bitnet(k700M, Activation::kSilu)},
      {"700m-llama", "BitNet b1.58 700M with LLaMA's blocks", llama(k700M, true)},
      {"3b", "BitNet b1.58 3B", bitnet(k3B, Activation::kSilu)},
      {"3b-llama", "BitNet b1.58 3B with LLaMA's blocks", llama(k3B, true)},
      {"2b4t", "BitNet b1.58 2B4T", bitnet(k2B4T, Activation::kRelu2)},
      {"2b4t-llama", "BitNet b1.58 2B4T with LLaMA's blocks", llama(k2B4T, true)},
      {"7b", "LLaMA 7B", llama(k7B, false)},
      {"7b-onebit", "LLaMA 7B by OneBit", onebit(k7B)},
      {"13b", "LLaMA 13B", llama(k13B, false)},
      {"13b-onebit", "LLaMA 13B by OneBit", onebit(k13B)},
      {"70b", "LLaMA 2 70B", llama(k70B, false), 1},
  }};
}

}  // namespace

std::span<const SyntheticShape> synthetic_shapes() {
  static const std::array<SyntheticShape, 11> shapes = make_shapes();
  return shapes;
}

std::string synthetic_shape_names() {
  std::string names;
  for (const SyntheticShape& shape : synthetic_shapes()) {
    if (!names.empty()) names += ", ";
    names += shape.name;
  }
  return names;
}

const SyntheticShape& find_synthetic_shape(std::string_view name) {
  for (const SyntheticShape& shape : synthetic_shapes()) {
    if (name == shape.name) return shape;
  }
  fail(ErrorCode::kUsage, "unknown shape '{}'; choose one of {}", name, synthetic_shape_names());
}

}  // namespace tercet
