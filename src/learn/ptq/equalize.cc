// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/equalize.h"

#include <ATen/ATen.h>

#include "learn/ptq/block_inputs.h"

namespace tercet::learn {
namespace {

// More would push what is small out of f16.
constexpr double kLargestFactor = 64;

at::Tensor factors(const at::Tensor& magnitudes, double exponent) {
  const at::Tensor fires = magnitudes > 0;
  if (!fires.any().item<bool>()) return at::ones_like(magnitudes);
  const at::Tensor logs = magnitudes.clamp_min(1e-30).log();
  const at::Tensor mean = logs.masked_select(fires).mean();
  return at::where(fires, ((logs - mean) * exponent).exp(), at::ones_like(magnitudes))
      .clamp(1 / kLargestFactor, kLargestFactor);
}

class BlockEqualizer {
 public:
  BlockEqualizer(const ModelConfig& config, double exponent, BlockWeights& weights)
      : config_(config), exponent_(exponent), weights_(weights) {}

  void run(size_t input, const at::Tensor& magnitudes) {
    at::Tensor s = factors(magnitudes, exponent_);
    const std::string gains = gains_of_input(config_, weights_, input);
    if (!gains.empty()) {
      divide(gains, s);
    } else if (input == 1) {
      s = shared_by_heads(magnitudes);
      divide_rows(
          "self_attn.v_proj",
          s.reshape({config_.num_key_value_heads, -1, config_.head_dim}).select(1, 0).flatten());
    } else {
      divide_rows("mlp.up_proj", s);
    }
    for (const std::string& map : inputs_of_block()[input].maps) {
      at::Tensor& weight = weights_.tensors.at(map + ".weight");
      weight = weight * s;
    }
  }

 private:
  void divide(const std::string& name, const at::Tensor& s) {
    at::Tensor& gains = weights_.tensors.at(name);
    gains = stored_norm(config_, gains / s);
  }

  void divide_rows(const std::string& map, const at::Tensor& s) {
    at::Tensor& weight = weights_.tensors.at(map + ".weight");
    weight = weight / s.unsqueeze(1);
    if (!weights_.has(map + ".bias")) return;
    at::Tensor& bias = weights_.tensors.at(map + ".bias");
    bias = bias / s;
  }

  // Factors of o_proj's columns [heads * head_dim]: the same for all query heads of a value head.
  at::Tensor shared_by_heads(const at::Tensor& magnitudes) const {
    const at::Tensor heads =
        magnitudes.reshape({config_.num_key_value_heads, -1, config_.head_dim});
    const at::Tensor together = heads.square().mean(1, true).sqrt().expand_as(heads);
    return factors(together.flatten(), exponent_);
  }

  const ModelConfig& config_;
  double exponent_;
  BlockWeights& weights_;
};

}  // namespace

void equalize(const ModelConfig& config, const InputMagnitudes& magnitudes, double exponent,
              BlockWeights& weights) {
  BlockEqualizer equalizer(config, exponent, weights);
  for (size_t input = 0; input < magnitudes.size(); ++input) {
    if (magnitudes[input].defined()) equalizer.run(input, magnitudes[input]);
  }
}

}  // namespace tercet::learn
