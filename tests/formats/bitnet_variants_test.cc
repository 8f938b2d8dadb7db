// SPDX-License-Identifier: Apache-2.0
#include "formats/bitnet_variants.h"

#include <functional>
#include <vector>

#include "formats/hf_model.h"
#include "formats/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::small_config;

ModelConfig with(LinearKind linear, const BitnetVariants& variants) {
  ModelConfig config = small_config();
  config.linear = linear;
  config.norm = linear == LinearKind::kB1 ? NormPlacement::kInsidePlain : NormPlacement::kSub;
  config.variants = variants;
  return config;
}

const ModelConfig kGood[] = {
    with(LinearKind::kB158, {.activation_bits = 4, .o_proj_top_k = 0.55f}),
    with(LinearKind::kB158, {.activation_bits = 4, .hadamard = true}),
    with(LinearKind::kB158, {.hadamard = true}),
    with(LinearKind::kB1, {.quant_groups = 4}),
    with(LinearKind::kB1, {.quant_groups = 2, .shifted_gate_input = true}),
};

TEST(BitnetVariants, RoundTripThroughDirectoriesThatOthersRefuse) {
  for (const ModelConfig& config : kGood) {
    const Json json = model_config_to_json(config);
    EXPECT_EQ(json.at("model_type"), "tercet");
    EXPECT_EQ(model_config_from_json(parse_json(json.dump(), "t"), "t"), config) << json.dump();
  }
  const Json plain = model_config_to_json(with(LinearKind::kB1, {}));
  EXPECT_FALSE(plain.contains("activation_bits"));
}

TEST(BitnetVariants, WhatContradictsIsRefusedByName) {
  using Change = std::function<void(ModelConfig&)>;
  const ModelConfig ternary = with(LinearKind::kB158, {});
  const ModelConfig binary = with(LinearKind::kB1, {});
  const std::vector<std::tuple<std::string, ModelConfig, Change>> cases = {
      {"activation_bits is 5", ternary, [](ModelConfig& c) { c.variants.activation_bits = 5; }},
      {"activation_bits is for b1.58", binary,
       [](ModelConfig& c) { c.variants.activation_bits = 4; }},
      {"o_proj_top_k is 0", ternary, [](ModelConfig& c) { c.variants.o_proj_top_k = 0; }},
      {"o_proj_top_k is 1.5", ternary, [](ModelConfig& c) { c.variants.o_proj_top_k = 1.5f; }},
      {"o_proj_top_k is nan", ternary, [](ModelConfig& c) { c.variants.o_proj_top_k = NAN; }},
      {"o_proj_top_k is for b1.58", binary, [](ModelConfig& c) { c.variants.o_proj_top_k = 0.5f; }},
      {"hadamard is for b1.58", binary, [](ModelConfig& c) { c.variants.hadamard = true; }},
      {"hadamard and o_proj_top_k", ternary,
       [](ModelConfig& c) {
         c.variants.hadamard = true;
         c.variants.o_proj_top_k = 0.5f;
       }},
      {"hadamard needs even", ternary,
       [](ModelConfig& c) {
         c.variants.hadamard = true;
         c.intermediate_size = 21;
       }},
      {"quant_groups is for b1 ", ternary, [](ModelConfig& c) { c.variants.quant_groups = 2; }},
      {"quant_groups is 5; it must divide", binary,
       [](ModelConfig& c) { c.variants.quant_groups = 5; }},
      {"quant_groups is 0", binary, [](ModelConfig& c) { c.variants.quant_groups = 0; }},
      {"quant_groups is -1", binary, [](ModelConfig& c) { c.variants.quant_groups = -1; }},
      {"norm must be inside-plain", binary,
       [](ModelConfig& c) {
         c.variants.quant_groups = 2;
         c.norm = NormPlacement::kPre;
       }},
      {"shifted_gate_input is for b1 ", ternary,
       [](ModelConfig& c) { c.variants.shifted_gate_input = true; }},
  };
  for (const auto& [text, base, change] : cases) {
    ModelConfig config = base;
    change(config);
    expect_error(ErrorCode::kBadInput, text, [&] { config.validate("here"); });
    expect_error(ErrorCode::kBadInput, "here: ", [&] { config.validate("here"); });
  }
  for (const ModelConfig& config : kGood) EXPECT_NO_THROW(config.validate("here"));
}

TEST(BitnetVariants, BlocksAndSharesAreWhatTheySay) {
  EXPECT_EQ(hadamard_block(1), 1);
  EXPECT_EQ(hadamard_block(172), 4);
  EXPECT_EQ(hadamard_block(768), 256);
  EXPECT_EQ(hadamard_block(4096), 4096);
  EXPECT_EQ(kept_inputs(0.5f, 64), 32);
  EXPECT_EQ(kept_inputs(0.5f, 5), 3);
  EXPECT_EQ(kept_inputs(0.001f, 64), 1);
  EXPECT_EQ(kept_inputs(1.0f, 7), 7);
}

}  // namespace
}  // namespace tercet
