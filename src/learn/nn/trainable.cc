// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/trainable.h"

#include <fmt/format.h>

#include <string>

#include "core/error.h"

namespace tercet::learn {
namespace {

void refuse_if(bool present, const std::string& feature) {
  if (!present) return;
  fail(ErrorCode::kUnsupported, "a model with {} can be run, but not trained yet", feature);
}

}  // namespace

void check_trainable(const ModelConfig& config) {
  refuse_if(config.attention_bias || config.output_bias, "attention_bias");
  refuse_if(config.mlp_bias, "mlp_bias");
  refuse_if(!config.dense_maps.empty(), "dense linear maps among ternary ones");
  refuse_if(config.linear == LinearKind::kOneBit, "OneBit's linear maps");
  refuse_if(config.qk_norm, "norms of the heads of q and k");
  refuse_if(config.norm == NormPlacement::kPreInside || config.norm == NormPlacement::kSandwich,
            fmt::format("norm placement '{}'", to_string(config.norm)));
  refuse_if(config.zero_centered_norms, "zero-centred norm weights");
  refuse_if(config.hidden_act != Activation::kSilu && config.hidden_act != Activation::kRelu2,
            fmt::format("hidden_act '{}'", to_string(config.hidden_act)));
  refuse_if(config.embedding_multiplier != 1.0f, "an embedding_multiplier");
  refuse_if(config.attention_scale != 0.0f, "a scale of attention scores of its own");
  refuse_if(config.rotary_dimensions() != config.head_dim, "a partial_rotary_factor");
  refuse_if(config.rope_scaling.type != RopeType::kDefault,
            fmt::format("rope_scaling '{}'", to_string(config.rope_scaling.type)));
  refuse_if(config.sliding_window > 0, "a sliding_window");
}

}  // namespace tercet::learn
