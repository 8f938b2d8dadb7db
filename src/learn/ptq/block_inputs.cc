// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/block_inputs.h"

#include <ATen/ATen.h>

namespace tercet::learn {
namespace {

constexpr double kSilentGain = 1e-4;  // of the mean

}  // namespace

const std::array<BlockInput, 4>& inputs_of_block() {
  static const std::array<BlockInput, 4> inputs = {{
      {{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}, false},
      {{"self_attn.o_proj"}, true},
      {{"mlp.gate_proj", "mlp.up_proj"}, false},
      {{"mlp.down_proj"}, true},
  }};
  return inputs;
}

std::string gains_of_input(const ModelConfig& config, const BlockWeights& weights, size_t input) {
  const bool sandwich = config.norm == NormPlacement::kSandwich;
  const std::array<const char*, 4> names = {
      "input_layernorm.weight",
      "self_attn.attn_sub_norm.weight",
      sandwich ? "pre_feedforward_layernorm.weight" : "post_attention_layernorm.weight",
      "mlp.ffn_sub_norm.weight",
  };
  return weights.has(names[input]) ? names[input] : "";
}

at::Tensor seen_through_gains(const at::Tensor& values, const ModelConfig& config, size_t input,
                              const BlockWeights& before, const BlockWeights& now) {
  const std::string name = gains_of_input(config, before, input);
  if (name.empty()) return values;
  const at::Tensor& gains = before.at(name);
  // A channel with next to no gain before was silent, whatever it has come to.
  const at::Tensor size = gains.abs();
  const at::Tensor ratio =
      at::where(size <= kSilentGain * size.mean(), at::ones_like(gains), now.at(name) / gains);
  return values * ratio;
}

}  // namespace tercet::learn
