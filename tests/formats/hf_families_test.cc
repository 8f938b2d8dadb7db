// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "formats/hf_model.h"
#include "formats/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::small_config;

ModelConfig read(const Json& json) { return model_config_from_json(json, "config.json"); }

Json shape_json(const char* model_type) {
  return {{"model_type", model_type}, {"vocab_size", 23},
          {"hidden_size", 12},        {"intermediate_size", 20},
          {"num_hidden_layers", 6},   {"num_attention_heads", 6},
          {"num_key_value_heads", 2}, {"max_position_embeddings", 512}};
}

ModelConfig gemma3_config() {
  ModelConfig config = small_config();
  config.num_hidden_layers = 3;
  config.hidden_act = Activation::kGeluTanh;
  config.norm = NormPlacement::kSandwich;
  config.qk_norm = true;
  config.zero_centered_norms = true;
  config.embedding_multiplier = gemma_embedding_multiplier(config.hidden_size);
  config.attention_scale = static_cast<float>(1.0 / std::sqrt(168.0));
  config.rope_theta = 1e6f;
  config.rope_local_theta = 1e4f;
  config.rope_scaling.type = RopeType::kLinear;
  config.rope_scaling.factor = 8.0f;
  config.sliding_window = 64;
  config.sliding_layers = {true, true, false};
  return config;
}

RopeScaling llama3_scaling() { return {RopeType::kLlama3, 8.0f, 128, 1.0f, 4.0f}; }

RopeScaling yarn_scaling() {
  RopeScaling out;
  out.type = RopeType::kYarn;
  out.factor = 4.0f;
  out.original_max_position_embeddings = 32;
  out.beta_fast = 16.0f;
  out.beta_slow = 2.0f;
  out.truncate = false;
  out.attention_factor = 1.25f;
  return out;
}

struct Case {
  const char* model_type;
  ModelConfig config;
};

std::vector<Case> families() {
  std::vector<Case> out;
  const auto add = [&](const char* type, auto change) {
    ModelConfig config = small_config();
    change(config);
    out.push_back({type, config});
  };
  add("llama", [](ModelConfig& c) { c.attention_bias = c.output_bias = c.mlp_bias = true; });
  add("llama", [](ModelConfig& c) { c.rope_scaling = llama3_scaling(); });
  add("llama", [](ModelConfig& c) { c.rope_scaling = yarn_scaling(); });
  add("llama", [](ModelConfig& c) { c.rope_scaling = {RopeType::kLinear, 2.5f}; });
  add("mistral", [](ModelConfig& c) { c.sliding_window = 7; });
  add("mistral", [](ModelConfig& c) { c.num_attention_heads = 5, c.num_key_value_heads = 5; });
  add("qwen2", [](ModelConfig& c) { c.attention_bias = true; });
  add("qwen2", [](ModelConfig& c) {
    c.attention_bias = true;
    c.sliding_window = 9;
    c.sliding_layers = {false, true};
  });
  add("qwen3", [](ModelConfig& c) { c.qk_norm = true; });
  add("qwen3", [](ModelConfig& c) {
    c.qk_norm = c.attention_bias = c.output_bias = true;
    c.sliding_window = 9;
  });
  add("gemma3_text", [](ModelConfig& c) { c = gemma3_config(); });
  add("gemma3_text", [](ModelConfig& c) {
    c = gemma3_config();
    c.sliding_window = 0;
    c.sliding_layers.clear();
  });
  add("tercet", [](ModelConfig& c) { c.rotary_dim = 2, c.head_dim = 4; });
  add("tercet", [](ModelConfig& c) { c.mlp_bias = c.qk_norm = true; });
  add("tercet", [](ModelConfig& c) { c.sliding_window = 3, c.sliding_layers = {true, false}; });
  add("tercet", [](ModelConfig& c) {
    c = gemma3_config();
    c.embedding_multiplier = 3.0f;
    c.mlp_bias = c.attention_bias = true;
    c.rotary_dim = 2;
    c.head_dim = 4;
  });
  const size_t dense = out.size();
  for (size_t i = 0; i < dense; ++i) {
    if (std::string(out[i].model_type) == "tercet") continue;
    out.push_back(out[i]);
    out.back().config.linear = LinearKind::kB158;
  }
  return out;
}

TEST(HfFamilies, RoundTripUnderTheTypeThatComputesTheSame) {
  for (const Case& sample : families()) {
    const Json json = model_config_to_json(sample.config);
    EXPECT_EQ(json.at("model_type"), sample.model_type) << json.dump();
    EXPECT_EQ(read(parse_json(json.dump(), "t")), sample.config) << json.dump();
  }
}

TEST(HfFamilies, FrequencyFactorsAloneCannotBeWritten) {
  ModelConfig config = small_config();
  config.rope_scaling.type = RopeType::kLlama3;
  expect_error(ErrorCode::kUnsupported, "rotary frequency factors",
               [&] { model_config_to_json(config); });
}

TEST(HfFamilies, QwenSlidesOnlyWhenSwitchedOn) {
  Json json = shape_json("qwen2");
  json["sliding_window"] = 32;
  json["max_window_layers"] = 4;
  EXPECT_EQ(read(json).sliding_window, 0);
  EXPECT_TRUE(read(json).attention_bias);
  EXPECT_FALSE(read(json).output_bias);
  EXPECT_EQ(read(json).bos_token_id, -1);
  json["use_sliding_window"] = true;
  EXPECT_EQ(read(json).sliding_window, 32);
  EXPECT_EQ(read(json).sliding_layers, (std::vector<bool>{false, false, false, false, true, true}));
  json["max_window_layers"] = 6;
  EXPECT_EQ(read(json).sliding_window, 0);
  json["layer_types"] = Json::array({"chunked_attention"});
  expect_error(ErrorCode::kUnsupported, "layer_types has \"chunked_attention\"",
               [&] { read(json); });
  json["layer_types"] = Json::array({"sliding_attention", "full_attention"});
  expect_error(ErrorCode::kBadInput, "layer_types names 2 layers", [&] { read(json); });
}

TEST(HfFamilies, MistralSlidesUnlessItSaysNull) {
  Json json = shape_json("mistral");
  EXPECT_EQ(read(json).sliding_window, 4096);
  json["sliding_window"] = nullptr;
  EXPECT_EQ(read(json).sliding_window, 0);
  json["sliding_window"] = 0;
  expect_error(ErrorCode::kBadInput, "sliding_window", [&] { read(json); });
}

TEST(HfFamilies, Qwen3TakesItsHeadSizeFromItsDefaults) {
  EXPECT_EQ(read(shape_json("qwen3")).head_dim, 128);
  EXPECT_TRUE(read(shape_json("qwen3")).qk_norm);
  EXPECT_EQ(read(shape_json("qwen2")).head_dim, 2) << "hidden_size / heads";
}

// What google/gemma-3-4b-it has in its config.json, most of it left to the defaults.
TEST(HfFamilies, TextHalfOfAMultimodalGemma3) {
  const Json json = Json::parse(R"({
    "model_type": "gemma3", "eos_token_id": [1, 106], "boi_token_index": 255999,
    "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
      "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
      "sliding_window": 1024},
    "vision_config": {"hidden_size": 1152}})");
  const ModelConfig config = read(json);
  EXPECT_EQ(config.vocab_size, 262208);
  EXPECT_EQ(config.head_dim, 256);
  EXPECT_EQ(config.num_attention_heads, 8);
  EXPECT_EQ(config.num_key_value_heads, 4);
  EXPECT_EQ(config.rope_theta, 1e6f);
  EXPECT_EQ(config.rope_local_theta, 1e4f);
  EXPECT_EQ(config.rope_scaling.factor, 8.0f);
  EXPECT_EQ(config.eos_token_ids, (std::vector<int32_t>{1, 106}));
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_TRUE(config.is_sliding(4));
  EXPECT_FALSE(config.is_sliding(5));
  EXPECT_EQ(config.attention_scale, 0.0625f);
}

TEST(HfFamilies, RopeParametersByKindOfLayer) {
  Json json = shape_json("gemma3_text");
  json["head_dim"] = 4;
  json["eos_token_id"] = json["bos_token_id"] = 1;
  json["rope_parameters"] = {
      {"full_attention", {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 3e6}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 2e4}}}};
  const ModelConfig config = read(json);
  EXPECT_EQ(config.rope_theta, 3e6f);
  EXPECT_EQ(config.rope_local_theta, 2e4f);
  EXPECT_EQ(config.rope_scaling.type, RopeType::kLinear);
  json["rope_parameters"]["sliding_attention"]["rope_type"] = "linear";
  expect_error(ErrorCode::kUnsupported, "sliding_attention", [&] { read(json); });
  json["model_type"] = "llama";
  expect_error(ErrorCode::kUnsupported, "full_attention differs by kind of layer",
               [&] { read(json); });
}

TEST(HfFamilies, YarnAttentionFactor) {
  Json json = shape_json("qwen2");
  json["rope_scaling"] = {
      {"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 128}};
  EXPECT_FLOAT_EQ(read(json).rope_scaling.attention_factor, 0.1f * std::log(4.0f) + 1.0f);
  json["rope_scaling"]["mscale"] = 0.707;
  json["rope_scaling"]["mscale_all_dim"] = 1.4;
  EXPECT_FLOAT_EQ(read(json).rope_scaling.attention_factor,
                  (0.0707f * std::log(4.0f) + 1.0f) / (0.14f * std::log(4.0f) + 1.0f));
  json["rope_scaling"]["attention_factor"] = 1.5;
  EXPECT_EQ(read(json).rope_scaling.attention_factor, 1.5f);
  json["rope_scaling"]["factor"] = nullptr;
  EXPECT_EQ(read(json).rope_scaling.factor, 4.0f) << "512 over 128";
  json["rope_scaling"] = {{"type", "llama3"}, {"factor", 4.0}, {"low_freq_factor", 1.0}};
  expect_error(ErrorCode::kBadInput, "high_freq_factor is missing", [&] { read(json); });
}

TEST(HfFamilies, PartOfAHeadRotates) {
  Json json = shape_json("llama");
  json["head_dim"] = 10;
  json["partial_rotary_factor"] = 0.4;
  EXPECT_EQ(read(json).rotary_dim, 4);
  json["rope_parameters"] = {{"rope_type", "default"}, {"partial_rotary_factor", 0.6}};
  EXPECT_EQ(read(json).rotary_dim, 6);
  json["rope_parameters"]["partial_rotary_factor"] = 0.7;
  expect_error(ErrorCode::kBadInput, "7 elements of a head rotate", [&] { read(json); });
  json["rope_parameters"]["partial_rotary_factor"] = 1.5;
  expect_error(ErrorCode::kBadInput, "partial_rotary_factor", [&] { read(json); });
}

}  // namespace
}  // namespace tercet
