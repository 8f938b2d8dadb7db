// SPDX-License-Identifier: Apache-2.0
#include "model/weights.h"

#include <array>
#include <charconv>
#include <string_view>

#include "core/error.h"

namespace tercet {
namespace {

constexpr std::string_view kSuffix = ".weight";

struct MatrixName {
  std::string_view name;
  LinearWeights LayerWeights::*member;
};

struct VectorName {
  std::string_view name;
  std::vector<float> LayerWeights::*member;
};

constexpr std::array<MatrixName, 7> kMatrices = {{
    {"attn_q", &LayerWeights::q},
    {"attn_k", &LayerWeights::k},
    {"attn_v", &LayerWeights::v},
    {"attn_output", &LayerWeights::o},
    {"ffn_gate", &LayerWeights::gate},
    {"ffn_up", &LayerWeights::up},
    {"ffn_down", &LayerWeights::down},
}};

constexpr std::array<VectorName, 8> kVectors = {{
    {"attn_norm", &LayerWeights::attention_norm},
    {"attn_sub_norm", &LayerWeights::attention_sub_norm},
    {"ffn_norm", &LayerWeights::ffn_norm},
    {"ffn_sub_norm", &LayerWeights::ffn_sub_norm},
    {"attn_q_norm", &LayerWeights::q_norm},
    {"attn_k_norm", &LayerWeights::k_norm},
    {"post_attention_norm", &LayerWeights::post_attention_norm},
    {"post_ffw_norm", &LayerWeights::post_ffn_norm},
}};

WeightSlot find_layer_slot(LayerWeights& layer, std::string_view name) {
  for (const VectorName& entry : kVectors) {
    if (name == entry.name) return {nullptr, &(layer.*entry.member)};
  }
  for (const MatrixName& entry : kMatrices) {
    if (name == entry.name) return {&(layer.*entry.member), nullptr};
    if (!name.starts_with(entry.name)) continue;
    const std::string_view part = name.substr(entry.name.size());
    if (part == ".input_norm") return {nullptr, &(layer.*entry.member).input_norm};
    if (part == ".input_scale") return {nullptr, &(layer.*entry.member).input_scale};
    if (part == ".bias") return {nullptr, &(layer.*entry.member).bias};
  }
  return {};
}

}  // namespace

WeightSlot find_slot(ModelWeights& weights, const std::string& gguf_name) {
  std::string_view name = gguf_name;
  if (name.ends_with(kSuffix)) name.remove_suffix(kSuffix.size());
  if (name == "token_embd") return {&weights.embedding, nullptr};
  if (name == "output_norm") return {nullptr, &weights.final_norm};
  if (name == "rope_freqs") return {nullptr, &weights.rope_factors};
  if (name == "output") return {&weights.head, nullptr};

  if (name.starts_with("blk.")) {
    size_t layer = 0;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + 4, end, layer);
    if (parsed.ec == std::errc() && layer < weights.layers.size() && parsed.ptr != end) {
      const std::string_view rest(parsed.ptr + 1, static_cast<size_t>(end - parsed.ptr - 1));
      const WeightSlot slot = find_layer_slot(weights.layers[layer], rest);
      if (slot.matrix != nullptr || slot.vector != nullptr) return slot;
    }
  }
  fail(ErrorCode::kInternal, "tensor '{}' has no place in the model", gguf_name);
}

const LinearWeights* find_matrix(const ModelWeights& weights, const std::string& gguf_name) {
  // Finding a place changes nothing in it.
  return find_slot(const_cast<ModelWeights&>(weights), gguf_name).matrix;
}

}  // namespace tercet
