// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/initial_model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/error.h"
#include "core/file.h"
#include "learn/nn/model_io.h"
#include "learn/pretrain/schedule.h"
#include "model/test_models.h"

namespace tercet::learn {
namespace {

const auto kSaysNothing = [](const char*) { return false; };

// A dense model on disk and a recipe that starts from it.
class InitialModel : public ::testing::Test {
 protected:
  InitialModel() : config_(test::tiny_config()) { write(config_); }

  void write(const ModelConfig& config) {
    std::filesystem::create_directories(dir_ / "hf");
    save_model(Transformer(config, 3, at::kCPU), dir_ / "hf");
  }

  Recipe recipe(const std::function<void(Recipe&)>& change = {}) const {
    Recipe r;
    r.data = {{"data", {}}};
    r.steps = 10;
    r.sequence_length = 16;
    r.init_from = (dir_ / "hf").string();
    take_shape(r, r.init_from, kSaysNothing);
    if (change) change(r);
    return resolved(r);
  }

  HfModel source() const { return HfModel(dir_ / "hf"); }

  std::string error_of(ErrorCode code, const Recipe& r, int64_t vocabulary = 97) const {
    try {
      config_from(source(), r, vocabulary);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    ADD_FAILURE() << "nothing thrown";
    return "";
  }

  testing::TemporaryDirectory dir_;
  ModelConfig config_;
};

TEST_F(InitialModel, GivesItsShapeAndItsNorms) {
  const Recipe r = recipe();
  EXPECT_EQ(r.hidden_size, config_.hidden_size);
  EXPECT_EQ(r.norm, "pre");
  EXPECT_EQ(r.hidden_act, "silu");
  ModelConfig expected = config_;
  expected.linear = LinearKind::kB158;
  EXPECT_EQ(config_from(source(), r, 97), expected);
  // Longer sequences than the model has seen are positions all the same.
  EXPECT_EQ(config_from(source(), recipe([](Recipe& x) { x.sequence_length = 500; }), 97)
                .max_position_embeddings,
            500);
  // A tokenizer with fewer tokens than embeddings is what padded models have.
  EXPECT_EQ(config_from(source(), r, 90), expected);
}

TEST_F(InitialModel, WhatTheUserSaysStays) {
  Recipe r;
  r.norm = "sub";
  take_shape(r, dir_ / "hf", [](const char* field) { return std::string(field) == "norm"; });
  EXPECT_EQ(r.norm, "sub");
  EXPECT_EQ(r.hidden_act, "silu");
}

TEST_F(InitialModel, GivesItsWeights) {
  const Recipe r = recipe();
  Transformer model(config_from(source(), r, 97), 77, at::kCPU);
  EXPECT_TRUE(take_weights(model, source()));
  const Transformer original(config_, 3, at::kCPU);
  for (const Parameter& parameter : original.parameters()) {
    EXPECT_TRUE(model.parameter(parameter.name).equal(parameter.value)) << parameter.name;
    EXPECT_TRUE(model.parameter(parameter.name).requires_grad());
  }
  // Not quantized at all it still computes the same; fully quantized it does not.
  const at::Tensor tokens = at::arange(12, at::kLong).view({1, 12});
  const at::NoGradGuard no_gradients;
  const at::Tensor expected = original.logits(tokens, at::kFloat);
  EXPECT_TRUE(model.logits(tokens, {at::kFloat, 0.0}).equal(expected));
  EXPECT_FALSE(at::allclose(model.logits(tokens, at::kFloat), expected, 1e-2, 1e-2));
}

TEST_F(InitialModel, NormsThatItHasNotStartAtOne) {
  const Recipe r = recipe([](Recipe& x) { x.norm = "sub"; });
  Transformer model(config_from(source(), r, 97), 77, at::kCPU);
  EXPECT_FALSE(take_weights(model, source()));
  const at::Tensor added = model.parameter("model.layers.0.mlp.ffn_sub_norm.weight");
  EXPECT_TRUE(added.equal(at::ones_like(added)));
}

// A dense model computes the same behind a Hadamard transform; a ternary one would not be ternary.
TEST_F(InitialModel, HadamardTransformsComeToDenseMaps) {
  const Recipe r = recipe([](Recipe& x) { x.hadamard = true; });
  Transformer model(config_from(source(), r, 97), 77, at::kCPU);
  EXPECT_FALSE(take_weights(model, source()));  // the optimizer's state would not fit
  const Transformer original(config_, 3, at::kCPU);
  const at::Tensor tokens = at::arange(12, at::kLong).view({1, 12});
  const at::NoGradGuard no_gradients;
  EXPECT_TRUE(at::allclose(model.logits(tokens, {at::kFloat, 0.0}),
                           original.logits(tokens, at::kFloat), 1e-4, 1e-5));
  config_.linear = LinearKind::kB158;
  write(config_);
  EXPECT_NE(error_of(ErrorCode::kUsage, recipe([](Recipe& x) { x.hadamard = true; }))
                .find("leave out hadamard"),
            std::string::npos);
}

// The second stage of BitNet a4.8 goes on from the first one's checkpoint.
TEST_F(InitialModel, GivesItsVariantsAndTakesOthers) {
  config_.linear = LinearKind::kB158;
  config_.variants.hadamard = true;
  write(config_);
  EXPECT_TRUE(recipe().hadamard);
  const Recipe r = recipe([](Recipe& x) { x.activation_bits = 4; });
  const ModelConfig config = config_from(source(), r, 97);
  EXPECT_EQ(config.variants, (BitnetVariants{.activation_bits = 4, .hadamard = true}));
  Transformer model(config, 77, at::kCPU);
  EXPECT_TRUE(take_weights(model, source()));
}

TEST_F(InitialModel, WeightsWithoutAPlaceAreRefused) {
  const Recipe r = recipe([](Recipe& x) { x.norm = "inside-plain"; });
  EXPECT_NE(error_of(ErrorCode::kUsage, r).find("input_layernorm"), std::string::npos);
}

TEST_F(InitialModel, AnotherShapeIsRefusedByName) {
  const std::pair<const char*, std::function<void(Recipe&)>> cases[] = {
      {"hidden_size", [](Recipe& r) { r.hidden_size = 128; }},
      {"intermediate_size", [](Recipe& r) { r.intermediate_size = 1; }},
      {"num_hidden_layers", [](Recipe& r) { r.num_hidden_layers = 3; }},
      {"num_attention_heads", [](Recipe& r) { r.num_attention_heads = 2; }},
      {"num_key_value_heads", [](Recipe& r) { r.num_key_value_heads = 4; }},
      {"rope_theta", [](Recipe& r) { r.rope_theta = 5e5; }},
      {"rms_norm_eps", [](Recipe& r) { r.rms_norm_eps = 1e-6; }},
      {"tie_word_embeddings", [](Recipe& r) { r.tie_word_embeddings = false; }},
      {"hidden_act", [](Recipe& r) { r.hidden_act = "relu2"; }},
  };
  for (const auto& [field, change] : cases) {
    EXPECT_EQ(error_of(ErrorCode::kUsage, recipe(change)).find(field), 0u) << field;
  }
  EXPECT_NE(error_of(ErrorCode::kBadInput, recipe(), 98).find("98 tokens"), std::string::npos);
}

TEST_F(InitialModel, WhatCannotBeTrainedIsRefused) {
  ModelConfig config = config_;
  config.attention_bias = true;
  test::write_hf_model(dir_ / "hf", config, test::random_weights(config, 1));
  EXPECT_NE(error_of(ErrorCode::kUnsupported, recipe()).find("attention_bias"), std::string::npos);
}

TEST_F(InitialModel, PackedWeightsAreRefused) {
  config_.linear = LinearKind::kB158;
  write(config_);
  Json json = read_json_file(dir_ / "hf" / "config.json");
  json["quantization_config"]["quantization_mode"] = "offline";
  write_text_file(dir_ / "hf" / "config.json", json.dump());
  try {
    config_from(HfModel(dir_ / "hf"), recipe(), 97);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("packed"), std::string::npos) << error.what();
  }
}

TEST_F(InitialModel, AnotherTokenizerIsRefused) {
  std::filesystem::create_directories(dir_ / "data");
  write_text_file(dir_ / "data" / "tokenizer.json", "{}");
  EXPECT_NO_THROW(check_same_tokenizer(dir_ / "hf", dir_ / "data"));  // which has none
  write_text_file(dir_ / "hf" / "tokenizer.json", "{}");
  EXPECT_NO_THROW(check_same_tokenizer(dir_ / "hf", dir_ / "data"));
  write_text_file(dir_ / "hf" / "tokenizer.json", "{ }");
  EXPECT_THROW(check_same_tokenizer(dir_ / "hf", dir_ / "data"), Error);
}

TEST(QuantizedShare, StartsLateAndRisesByALine) {
  Recipe r;
  EXPECT_EQ(quantized_share_at(r, 0), 1.0);
  r.lambda_start_step = 3;
  EXPECT_EQ(quantized_share_at(r, 2), 0.0);
  EXPECT_EQ(quantized_share_at(r, 3), 1.0);
  r.lambda_warmup_steps = 4;
  EXPECT_EQ(quantized_share_at(r, 3), 0.0);
  EXPECT_EQ(quantized_share_at(r, 4), 0.25);
  EXPECT_EQ(quantized_share_at(r, 7), 1.0);
  EXPECT_EQ(quantized_share_at(r, 700), 1.0);
}

}  // namespace
}  // namespace tercet::learn
