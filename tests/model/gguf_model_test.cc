// SPDX-License-Identifier: Apache-2.0
#include "model/gguf_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "model/test_models.h"

namespace tercet::test {
namespace {

// A GGUF file with the metadata of `config`, changed by `change`, and the two tensors that reading
// the configuration looks at.
ModelConfig through_file(const ModelConfig& config, const std::string& architecture,
                         const std::function<void(GgufWriter&)>& change = {}) {
  const testing::TemporaryDirectory directory;
  const std::filesystem::path path = directory / "a.gguf";
  GgufWriter writer(path);
  set_gguf_config(writer, config, architecture);
  if (change) change(writer);
  const std::vector<uint8_t> zeros(4 * 66);
  writer.declare("token_embd.weight", DType::kF32, {config.vocab_size, 1});
  const bool ternary = has_low_bit_maps(config.linear);
  writer.declare("blk.0.attn_q.weight", ternary ? DType::kTq2_0 : DType::kF32, {1, 256});
  if (!config.tie_word_embeddings) writer.declare("output.weight", DType::kF32, {1});
  writer.write_next(std::vector<uint8_t>(static_cast<size_t>(config.vocab_size) * 4));
  writer.write_next(std::vector<uint8_t>(ternary ? 66 : 1024));
  if (!config.tie_word_embeddings) writer.write_next(std::vector<uint8_t>(4));
  writer.finish();
  return config_from_gguf(GgufFile(path));
}

TEST(GgufModelTest, TercetFilesKeepEveryField) {
  for (const NormPlacement norm : {NormPlacement::kPre, NormPlacement::kSub, NormPlacement::kInside,
                                   NormPlacement::kInsidePlain}) {
    ModelConfig config = tiny_b158_config();
    config.norm = norm;
    if (norm == NormPlacement::kInsidePlain) config.linear = LinearKind::kB1;
    config.tie_word_embeddings = norm == NormPlacement::kPre;
    config.rms_norm_eps = 1e-6f;
    config.bos_token_id = -1;
    config.eos_token_ids = {2, 96};
    EXPECT_EQ(through_file(config, "tercet"), config) << to_string(norm);
  }
}

TEST(GgufModelTest, VariantsOfBitnetAreKeptWhereOthersRefuseThem) {
  ModelConfig ternary = tiny_b158_config();
  ModelConfig binary = tiny_b158_config();
  binary.linear = LinearKind::kB1;
  binary.norm = NormPlacement::kInsidePlain;
  for (const BitnetVariants& variants :
       {BitnetVariants{.activation_bits = 4, .o_proj_top_k = 0.55f},
        BitnetVariants{.activation_bits = 4, .hadamard = true}}) {
    ternary.variants = variants;
    EXPECT_EQ(through_file(ternary, "tercet"), ternary);
    EXPECT_EQ(gguf_architecture(ternary, StoredType::kTq2_0), "tercet");
  }
  binary.variants = {.quant_groups = 4, .shifted_gate_input = true};
  EXPECT_EQ(through_file(binary, "tercet"), binary);
  EXPECT_THROW(
      through_file(ternary, "tercet",
                   [](GgufWriter& w) { w.set("tercet.activation_bits", GgufValue::u32(3)); }),
      Error);
}

TEST(GgufModelTest, KnownArchitecturesImplyTheirKind) {
  const ModelConfig llama = tiny_config();
  EXPECT_EQ(through_file(llama, "llama"), llama);
  const ModelConfig relu2 = tiny_b158_config();
  EXPECT_EQ(through_file(relu2, "bitnet-b1.58"), relu2);
  ModelConfig silu = relu2;
  silu.hidden_act = Activation::kSilu;
  EXPECT_EQ(through_file(silu, "bitnet"), silu);
}

TEST(GgufModelTest, NamesAnArchitectureOnlyWhereOthersReadItRight) {
  EXPECT_EQ(gguf_architecture(tiny_config(), StoredType::kF16), "llama");
  ModelConfig config = tiny_b158_config();
  EXPECT_EQ(gguf_architecture(config, StoredType::kTq2_0), "bitnet-b1.58");
  EXPECT_EQ(gguf_architecture(config, StoredType::kTrit5), "tercet");
  config.hidden_act = Activation::kSilu;
  EXPECT_EQ(gguf_architecture(config, StoredType::kTq1_0), "bitnet");
  config.tie_word_embeddings = false;
  EXPECT_EQ(gguf_architecture(config, StoredType::kTq1_0), "tercet");
  config.norm = NormPlacement::kInside;
  EXPECT_EQ(gguf_architecture(config, StoredType::kTq1_0), "tercet");
  for (const LinearKind kind : {LinearKind::kB1, LinearKind::kOneBit}) {
    ModelConfig binary = tiny_b158_config();
    binary.linear = kind;
    EXPECT_EQ(gguf_architecture(binary, StoredType::kTq2_0), "tercet");
    binary.norm = NormPlacement::kPre;
    binary.hidden_act = Activation::kSilu;
    EXPECT_EQ(gguf_architecture(binary, StoredType::kTq2_0), "tercet");
  }
  ModelConfig dense = tiny_config();
  dense.norm = NormPlacement::kSub;
  EXPECT_EQ(gguf_architecture(dense, StoredType::kF16), "tercet");
  dense = tiny_config();
  dense.hidden_act = Activation::kRelu2;
  EXPECT_EQ(gguf_architecture(dense, StoredType::kF16), "tercet");
}

TEST(GgufModelTest, ScaledRotationInEverySpelling) {
  const auto scaling = [](const std::function<void(GgufWriter&)>& change) {
    return through_file(tiny_config(), "llama", change).rope_scaling;
  };
  // Both mean linear scaling.
  RopeScaling linear;
  linear.type = RopeType::kLinear;
  linear.factor = 4.0f;
  EXPECT_EQ(scaling([](GgufWriter& w) { w.set("llama.rope.scaling.factor", GgufValue::f32(4)); }),
            linear);
  EXPECT_EQ(scaling([](GgufWriter& w) { w.set("llama.rope.scale_linear", GgufValue::f32(4)); }),
            linear);
  const RopeScaling yarn = scaling([](GgufWriter& w) {
    w.set("llama.rope.scaling.type", GgufValue::string("yarn"));
    w.set("llama.rope.scaling.factor", GgufValue::f32(4));
    w.set("llama.rope.scaling.attn_factor", GgufValue::f32(0.5f));
  });
  EXPECT_EQ(yarn.type, RopeType::kYarn);
  EXPECT_EQ(yarn.original_max_position_embeddings, 128) << "the context length";
  EXPECT_FLOAT_EQ(yarn.attention_factor, 0.5f * (0.1f * std::log(4.0f) + 1.0f));
}

TEST(GgufModelTest, TernaryLlamasAreWrittenWhereOthersReadThemRight) {
  ModelConfig config = tiny_config();
  config.linear = LinearKind::kB158;
  EXPECT_EQ(gguf_architecture(config, StoredType::kTq2_0), "llama");
  EXPECT_EQ(gguf_architecture(config, StoredType::kTrit5), "tercet");
  config.attention_bias = true;
  EXPECT_EQ(gguf_architecture(config, StoredType::kTq2_0), "tercet");
  config.attention_bias = false;
  config.qk_norm = true;
  EXPECT_EQ(gguf_architecture(config, StoredType::kTq1_0), "qwen3");
}

TEST(GgufModelTest, NamesOfTheFamiliesThatOthersRead) {
  const auto name = [](const std::function<void(ModelConfig&)>& change) {
    ModelConfig config = tiny_config();
    change(config);
    return gguf_architecture(config, StoredType::kF16);
  };
  EXPECT_EQ(name([](ModelConfig& c) { c.attention_bias = true; }), "qwen2");
  EXPECT_EQ(name([](ModelConfig& c) { c.attention_bias = c.output_bias = true; }), "llama");
  EXPECT_EQ(name([](ModelConfig& c) { c.attention_bias = true, c.head_dim = 32; }), "llama");
  EXPECT_EQ(name([](ModelConfig& c) { c.qk_norm = true; }), "qwen3");
  EXPECT_EQ(name([](ModelConfig& c) { c.qk_norm = c.attention_bias = true; }), "tercet");
  EXPECT_EQ(name([](ModelConfig& c) { c.rope_scaling.type = RopeType::kLlama3; }), "llama");
  EXPECT_EQ(name([](ModelConfig& c) {
              c.rope_scaling.type = RopeType::kLlama3;
              c.qk_norm = true;
            }),
            "tercet");
  EXPECT_EQ(name([](ModelConfig& c) { c.sliding_window = 16; }), "tercet");
  EXPECT_EQ(name([](ModelConfig& c) { c.sliding_window = 128; }), "llama") << "never reached";
  EXPECT_EQ(name([](ModelConfig& c) { c.rotary_dim = 8; }), "tercet");
  EXPECT_EQ(name([](ModelConfig& c) { c.rope_scaling.beta_fast = 16.0f; }), "tercet");
  EXPECT_EQ(name([](ModelConfig& c) { c = tiny_gemma3_config(); }), "gemma3");
  EXPECT_EQ(name([](ModelConfig& c) {
              c = tiny_gemma3_config();
              c.sliding_layers[0] = false;
            }),
            "tercet");
  EXPECT_EQ(name([](ModelConfig& c) {
              c = tiny_gemma3_config();
              c.attention_scale = 0.5f;
            }),
            "tercet");
}

TEST(GgufModelTest, FamiliesSurviveTheirFiles) {
  // Of the tensors that tell about features, the file of this test has none.
  ModelConfig gemma = tiny_gemma3_config();
  gemma.qk_norm = false;
  EXPECT_EQ(through_file(gemma, "gemma3"), gemma);
  gemma.sliding_layers[1] = false;
  gemma.attention_scale = 0.3f;
  gemma.rotary_dim = 4;
  EXPECT_EQ(through_file(gemma, "tercet"), gemma);
  ModelConfig mistral = tiny_config();
  mistral.sliding_window = 16;
  EXPECT_EQ(through_file(mistral, "tercet"), mistral);
  ModelConfig yarn = tiny_config();
  yarn.rope_scaling = {RopeType::kYarn, 4.0f, 32, 1.0f, 4.0f, 16.0f, 2.0f, false, 1.7f};
  EXPECT_EQ(through_file(yarn, "tercet"), yarn);
}

TEST(GgufModelTest, FilesOfOthersNameTheEndsOfTextAndTurn) {
  const testing::TemporaryDirectory directory;
  const std::filesystem::path path = directory / "a.gguf";
  GgufWriter writer(path);
  writer.set("general.architecture", GgufValue::string("qwen2"));
  for (const auto& [name, value] :
       {std::pair{"context_length", 64U}, std::pair{"embedding_length", 8U},
        std::pair{"block_count", 1U}, std::pair{"feed_forward_length", 8U},
        std::pair{"attention.head_count", 2U}}) {
    writer.set(std::string("qwen2.") + name, GgufValue::u32(value));
  }
  writer.set("qwen2.attention.layer_norm_rms_epsilon", GgufValue::f32(1e-6f));
  writer.set("tokenizer.ggml.eos_token_id", GgufValue::u32(5));
  writer.set("tokenizer.ggml.eot_token_id", GgufValue::u32(7));
  writer.set("tokenizer.ggml.eom_token_id", GgufValue::u32(5));
  writer.declare("token_embd.weight", DType::kF32, {9, 1});
  writer.declare("blk.0.attn_q.weight", DType::kF32, {1, 1});
  writer.declare("blk.0.attn_q.bias", DType::kF32, {1});
  writer.write_next(std::vector<uint8_t>(36));
  writer.write_next(std::vector<uint8_t>(4));
  writer.write_next(std::vector<uint8_t>(4));
  writer.finish();
  const ModelConfig config = config_from_gguf(GgufFile(path));
  EXPECT_EQ(config.eos_token_ids, (std::vector<int32_t>{5, 7}));
  EXPECT_TRUE(config.attention_bias);
  EXPECT_FALSE(config.output_bias);
  EXPECT_EQ(config.vocab_size, 9);
  EXPECT_EQ(config.head_dim, 4);
}

TEST(GgufModelTest, OnlyLlamaRotatesNeighbours) {
  EXPECT_EQ(rope_order_of("llama"), RopeOrder::kAdjacent);
  for (const char* name : {"bitnet", "bitnet-b1.58", "qwen2", "qwen3", "gemma3", "tercet"}) {
    EXPECT_EQ(rope_order_of(name), RopeOrder::kHalfSplit) << name;
  }
}

// What `change` makes of a good file must be refused with `text` in the message.
void expect_refused(const std::string& architecture, const std::string& text,
                    const std::function<void(GgufWriter&)>& change) {
  try {
    through_file(tiny_config(), architecture, change);
    FAIL() << "accepted; expected a refusal with: " << text;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    EXPECT_TRUE(error.code() == ErrorCode::kBadInput || error.code() == ErrorCode::kUnsupported);
  }
}

TEST(GgufModelTest, RefusesWhatItCannotRun) {
  expect_refused("gpt2", "architecture 'gpt2'", {});
  expect_refused("llama", "llama.expert_count",
                 [](GgufWriter& w) { w.set("llama.expert_count", GgufValue::u32(8)); });
  expect_refused("llama", "llama.rope.scaling.type is 'longrope'", [](GgufWriter& w) {
    w.set("llama.rope.scaling.type", GgufValue::string("longrope"));
  });
  expect_refused("llama", "llama.rope.scaling.yarn_ext_factor", [](GgufWriter& w) {
    w.set("llama.rope.scaling.type", GgufValue::string("yarn"));
    w.set("llama.rope.scaling.yarn_ext_factor", GgufValue::f32(0.5f));
  });
  expect_refused("llama", "elements of a head rotate",
                 [](GgufWriter& w) { w.set("llama.rope.dimension_count", GgufValue::u32(18)); });
  expect_refused("llama", "llama.attention.value_length",
                 [](GgufWriter& w) { w.set("llama.attention.value_length", GgufValue::u32(8)); });
  expect_refused("llama", "llama.final_logit_softcapping",
                 [](GgufWriter& w) { w.set("llama.final_logit_softcapping", GgufValue::f32(30)); });
  expect_refused("qwen2", "qwen2.attention.sliding_window", [](GgufWriter& w) {
    w.set("qwen2.attention.sliding_window", GgufValue::u32(16));
  });
  expect_refused("llama", "num_key_value_heads",
                 [](GgufWriter& w) { w.set("llama.attention.head_count_kv", GgufValue::u32(3)); });
  expect_refused("llama", "num_attention_heads",
                 [](GgufWriter& w) { w.set("llama.attention.head_count", GgufValue::u32(0)); });
  expect_refused("llama", "tercet.bos_token_id", [](GgufWriter& w) {
    w.set("tercet.bos_token_id", GgufValue::u64(uint64_t{1} << 40));
  });
  expect_refused("tercet", "unknown norm placement 'post'",
                 [](GgufWriter& w) { w.set("tercet.norm", GgufValue::string("post")); });
  expect_refused("llama", "llama.embedding_length",
                 [](GgufWriter& w) { w.set("llama.embedding_length", GgufValue::string("many")); });
}

TEST(GgufModelTest, ScaleTensorsAreNamedAfterTheirMatrix) {
  EXPECT_EQ(scale_tensor_name("blk.3.ffn_up.weight"), "blk.3.ffn_up.scale");
}

}  // namespace
}  // namespace tercet::test
