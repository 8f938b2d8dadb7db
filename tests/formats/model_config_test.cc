// SPDX-License-Identifier: Apache-2.0
#include "formats/model_config.h"

#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "formats/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::small_config;

std::vector<std::string> hf_names(const ModelConfig& config) {
  std::vector<std::string> out;
  for (const TensorSpec& spec : tensor_specs(config)) out.push_back(spec.hf_name);
  return out;
}

const TensorSpec& spec_of(const std::vector<TensorSpec>& specs, const std::string& hf_name) {
  for (const TensorSpec& spec : specs) {
    if (spec.hf_name == hf_name) return spec;
  }
  throw std::runtime_error("no tensor " + hf_name);
}

RopeScaling yarn(float beta_fast, int64_t context) {
  RopeScaling out;
  out.type = RopeType::kYarn;
  out.factor = 4.0f;
  out.beta_fast = beta_fast;
  out.original_max_position_embeddings = context;
  return out;
}

TEST(ModelConfig, SmallOneIsValid) { EXPECT_NO_THROW(small_config().validate("t")); }

TEST(ModelConfig, RefusesImpossibleNumbersByName) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  using Change = std::function<void(ModelConfig&)>;
  const std::vector<std::pair<std::string, Change>> cases = {
      {"vocab_size", [](ModelConfig& c) { c.vocab_size = 0; }},
      {"vocab_size", [](ModelConfig& c) { c.vocab_size = INT64_MAX; }},
      {"hidden_size", [](ModelConfig& c) { c.hidden_size = -12; }},
      {"hidden_size", [](ModelConfig& c) { c.hidden_size = (1 << 20) + 1; }},
      {"intermediate_size", [](ModelConfig& c) { c.intermediate_size = 0; }},
      {"num_hidden_layers", [](ModelConfig& c) { c.num_hidden_layers = 4097; }},
      {"num_attention_heads", [](ModelConfig& c) { c.num_attention_heads = 0; }},
      {"num_key_value_heads", [](ModelConfig& c) { c.num_key_value_heads = 4; }},
      {"num_key_value_heads", [](ModelConfig& c) { c.num_key_value_heads = 0; }},
      {"head_dim", [](ModelConfig& c) { c.head_dim = 3; }},
      {"head_dim", [](ModelConfig& c) { c.head_dim = 1 << 20; }},
      {"max_position_embeddings", [](ModelConfig& c) { c.max_position_embeddings = 0; }},
      {"rms_norm_eps", [](ModelConfig& c) { c.rms_norm_eps = 0.0f; }},
      {"rms_norm_eps", [=](ModelConfig& c) { c.rms_norm_eps = nan; }},
      {"rope_theta", [](ModelConfig& c) { c.rope_theta = 1.0f; }},
      {"rope_theta", [=](ModelConfig& c) { c.rope_theta = inf; }},
      {"head_dim", [](ModelConfig& c) { c.rotary_dim = 4; }},
      {"elements", [](ModelConfig& c) { c.rotary_dim = 1; }},
      {"rope_local_theta", [](ModelConfig& c) { c.rope_local_theta = 0.5f; }},
      {"factor", [](ModelConfig& c) { c.rope_scaling.factor = 0.0f; }},
      {"beta_fast", [](ModelConfig& c) { c.rope_scaling = yarn(-1.0f, 64); }},
      {"original_max_position_embeddings", [](ModelConfig& c) { c.rope_scaling = yarn(32.0f, 0); }},
      {"high_freq_factor",
       [](ModelConfig& c) {
         c.rope_scaling = {RopeType::kLlama3, 8.0f, 64, 4.0f, 4.0f};
       }},
      {"sliding_window", [](ModelConfig& c) { c.sliding_window = -1; }},
      {"layer_types", [](ModelConfig& c) { c.sliding_layers = {true}; }},
      {"scores", [=](ModelConfig& c) { c.attention_scale = nan; }},
      {"embedding_multiplier", [](ModelConfig& c) { c.embedding_multiplier = 0.0f; }},
      {"bos_token_id", [](ModelConfig& c) { c.bos_token_id = 23; }},
      {"bos_token_id", [](ModelConfig& c) { c.bos_token_id = -2; }},
      {"eos_token_id",
       [](ModelConfig& c) {
         c.eos_token_ids = {2, 23};
       }},
      {"eos_token_id", [](ModelConfig& c) { c.eos_token_ids = {-1}; }},
  };
  for (const auto& [field, change] : cases) {
    ModelConfig config = small_config();
    change(config);
    expect_error(ErrorCode::kBadInput, "here: ", [&] { config.validate("here"); });
    expect_error(ErrorCode::kBadInput, field + " ", [&] { config.validate("here"); });
  }
}

TEST(ModelConfig, NoBeginningAndNoEndTokenAreAllowed) {
  ModelConfig config = small_config();
  config.bos_token_id = -1;
  config.eos_token_ids = {};
  EXPECT_NO_THROW(config.validate("t"));
}

TEST(ModelConfig, NamesOfChoicesRoundTrip) {
  for (const auto value : {Activation::kSilu, Activation::kRelu2, Activation::kGeluTanh}) {
    EXPECT_EQ(parse_activation(to_string(value)), value);
  }
  for (const auto value :
       {LinearKind::kDense, LinearKind::kB158, LinearKind::kB1, LinearKind::kOneBit}) {
    EXPECT_EQ(parse_linear_kind(to_string(value)), value);
  }
  for (const auto value :
       {NormPlacement::kPre, NormPlacement::kSub, NormPlacement::kInside,
        NormPlacement::kInsidePlain, NormPlacement::kPreInside, NormPlacement::kSandwich}) {
    EXPECT_EQ(parse_norm_placement(to_string(value)), value);
  }
  expect_error(ErrorCode::kBadInput, "silu, relu2, gelu_pytorch_tanh",
               [] { parse_activation("gelu"); });
  expect_error(ErrorCode::kBadInput, "'b2'", [] { parse_linear_kind("b2"); });
  expect_error(ErrorCode::kBadInput, "pre, sub, inside", [] { parse_norm_placement(""); });
  for (const auto value :
       {RopeType::kDefault, RopeType::kLinear, RopeType::kLlama3, RopeType::kYarn}) {
    EXPECT_EQ(parse_rope_type(to_string(value)), value);
  }
}

TEST(TensorSpecs, PreNormIsTheLlamaLayout) {
  ModelConfig config = small_config();
  config.num_hidden_layers = 1;
  const std::vector<std::string> expected = {
      "model.embed_tokens.weight",
      "model.layers.0.input_layernorm.weight",
      "model.layers.0.self_attn.q_proj.weight",
      "model.layers.0.self_attn.k_proj.weight",
      "model.layers.0.self_attn.v_proj.weight",
      "model.layers.0.self_attn.o_proj.weight",
      "model.layers.0.post_attention_layernorm.weight",
      "model.layers.0.mlp.gate_proj.weight",
      "model.layers.0.mlp.up_proj.weight",
      "model.layers.0.mlp.down_proj.weight",
      "model.norm.weight",
  };
  EXPECT_EQ(hf_names(config), expected);
  config.tie_word_embeddings = false;
  EXPECT_EQ(hf_names(config).back(), "lm_head.weight");
}

TEST(TensorSpecs, ShapesFollowGroupedHeads) {
  ModelConfig config = small_config();
  config.head_dim = 4;  // attention width 24 differs from hidden_size 12
  config.linear = LinearKind::kB158;
  config.norm = NormPlacement::kSub;
  const auto specs = tensor_specs(config);
  const auto expect = [&](const std::string& hf, const std::string& gguf, int64_t rows,
                          int64_t cols, bool low_bit) {
    const TensorSpec& spec = spec_of(specs, "model.layers.1." + hf);
    EXPECT_EQ(spec.gguf_name, "blk.1." + gguf);
    EXPECT_EQ(spec.rows, rows) << hf;
    EXPECT_EQ(spec.cols, cols) << hf;
    EXPECT_EQ(spec.low_bit, low_bit) << hf;
  };
  expect("self_attn.q_proj.weight", "attn_q.weight", 24, 12, true);
  expect("self_attn.k_proj.weight", "attn_k.weight", 12, 12, true);
  expect("self_attn.v_proj.weight", "attn_v.weight", 12, 12, true);
  expect("self_attn.attn_sub_norm.weight", "attn_sub_norm.weight", 0, 24, false);
  expect("self_attn.o_proj.weight", "attn_output.weight", 12, 24, true);
  expect("mlp.gate_proj.weight", "ffn_gate.weight", 20, 12, true);
  expect("mlp.up_proj.weight", "ffn_up.weight", 20, 12, true);
  expect("mlp.ffn_sub_norm.weight", "ffn_sub_norm.weight", 0, 20, false);
  expect("mlp.down_proj.weight", "ffn_down.weight", 12, 20, true);
  expect("input_layernorm.weight", "attn_norm.weight", 0, 12, false);
  expect("post_attention_layernorm.weight", "ffn_norm.weight", 0, 12, false);
  EXPECT_FALSE(spec_of(specs, "model.embed_tokens.weight").low_bit);
}

TEST(TensorSpecs, InsideNormsStandAtEveryLinearMapAndNowhereElse) {
  ModelConfig config = small_config();
  config.num_hidden_layers = 1;
  config.norm = NormPlacement::kInside;
  const auto specs = tensor_specs(config);
  int norms = 0;
  for (const TensorSpec& spec : specs) norms += spec.rows == 0 ? 1 : 0;
  EXPECT_EQ(norms, 7 + 1);
  const TensorSpec& down = spec_of(specs, "model.layers.0.mlp.down_proj.rms_norm.weight");
  EXPECT_EQ(down.gguf_name, "blk.0.ffn_down.input_norm.weight");
  EXPECT_EQ(down.cols, 20);
}

TEST(TensorSpecs, NamesAreUniqueInBothFormats) {
  for (const auto norm : {NormPlacement::kPre, NormPlacement::kSub, NormPlacement::kInside}) {
    ModelConfig config = small_config();
    config.norm = norm;
    config.tie_word_embeddings = false;
    std::set<std::string> hf;
    std::set<std::string> gguf;
    for (const TensorSpec& spec : tensor_specs(config)) {
      EXPECT_TRUE(hf.insert(spec.hf_name).second) << spec.hf_name;
      EXPECT_TRUE(gguf.insert(spec.gguf_name).second) << spec.gguf_name;
    }
  }
}

// SmolLM2-135M has 134,515,008 weights, of which 30 layers of linear maps hold 106,168,320.
TEST(ParameterCount, OfAKnownModel) {
  ModelConfig config;
  config.vocab_size = 49152;
  config.hidden_size = 576;
  config.intermediate_size = 1536;
  config.num_hidden_layers = 30;
  config.num_attention_heads = 9;
  config.num_key_value_heads = 3;
  config.head_dim = 64;
  EXPECT_EQ(config.parameter_count(), 134515008);
  EXPECT_EQ(config.linear_parameter_count(), 106168320);
  config.tie_word_embeddings = false;
  EXPECT_EQ(config.parameter_count(), 134515008 + 49152 * 576);
}

TEST(ParameterCount, LinearPartIsTheLowBitTensors) {
  ModelConfig config = small_config();
  config.linear = LinearKind::kB158;
  config.head_dim = 4;
  int64_t low_bit = 0;
  for (const TensorSpec& spec : tensor_specs(config)) {
    if (spec.low_bit) low_bit += spec.rows * spec.cols;
  }
  EXPECT_EQ(config.linear_parameter_count(), low_bit);
}

}  // namespace
}  // namespace tercet
