// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/trainable.h"

#include <gtest/gtest.h>

#include <functional>

#include "core/error.h"

namespace tercet::learn {
namespace {

ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 23;
  config.hidden_size = 12;
  config.intermediate_size = 20;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 3;
  config.num_key_value_heads = 3;
  config.head_dim = 4;
  config.max_position_embeddings = 64;
  return config;
}

TEST(Trainable, WhatTheRecipesMakeIs) {
  for (const NormPlacement norm :
       {NormPlacement::kPre, NormPlacement::kSub, NormPlacement::kInside}) {
    ModelConfig config = small_config();
    config.norm = norm;
    config.hidden_act = norm == NormPlacement::kSub ? Activation::kRelu2 : Activation::kSilu;
    EXPECT_NO_THROW(check_trainable(config)) << to_string(norm);
  }
}

TEST(Trainable, EveryOtherFeatureIsRefusedByName) {
  using Change = std::function<void(ModelConfig&)>;
  const std::vector<std::pair<std::string, Change>> cases = {
      {"attention_bias", [](ModelConfig& c) { c.attention_bias = true; }},
      {"attention_bias", [](ModelConfig& c) { c.output_bias = true; }},
      {"mlp_bias", [](ModelConfig& c) { c.mlp_bias = true; }},
      {"heads of q and k", [](ModelConfig& c) { c.qk_norm = true; }},
      {"OneBit", [](ModelConfig& c) { c.linear = LinearKind::kOneBit; }},
      {"'pre-inside'", [](ModelConfig& c) { c.norm = NormPlacement::kPreInside; }},
      {"'sandwich'", [](ModelConfig& c) { c.norm = NormPlacement::kSandwich; }},
      {"zero-centred", [](ModelConfig& c) { c.zero_centered_norms = true; }},
      {"gelu_pytorch_tanh", [](ModelConfig& c) { c.hidden_act = Activation::kGeluTanh; }},
      {"embedding_multiplier", [](ModelConfig& c) { c.embedding_multiplier = 2.0f; }},
      {"attention scores", [](ModelConfig& c) { c.attention_scale = 0.1f; }},
      {"partial_rotary_factor", [](ModelConfig& c) { c.rotary_dim = 2; }},
      {"'llama3'", [](ModelConfig& c) { c.rope_scaling.type = RopeType::kLlama3; }},
      {"sliding_window", [](ModelConfig& c) { c.sliding_window = 8; }},
  };
  for (const auto& [feature, change] : cases) {
    ModelConfig config = small_config();
    change(config);
    try {
      check_trainable(config);
      FAIL() << "accepted: " << feature;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_NE(std::string(error.what()).find(feature), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace tercet::learn
