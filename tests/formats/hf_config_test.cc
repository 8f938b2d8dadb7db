// SPDX-License-Identifier: Apache-2.0
#include "formats/hf_model.h"
#include "formats/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::small_config;

Json llama_json() {
  return Json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 23,
    "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2,
    "num_attention_heads": 6, "unknown_field": {"kept": "ignored"}})");
}

Json online() {
  return {{"quant_method", "bitnet"},
          {"linear_class", "autobitlinear"},
          {"quantization_mode", "online"}};
}

ModelConfig read(const Json& json) { return model_config_from_json(json, "config.json"); }

TEST(HfConfig, EveryCombinationRoundTripsExactly) {
  int combinations = 0;
  for (const auto act : {Activation::kSilu, Activation::kRelu2}) {
    for (const auto linear : {LinearKind::kDense, LinearKind::kB158, LinearKind::kB1}) {
      for (const auto norm : {NormPlacement::kPre, NormPlacement::kSub, NormPlacement::kInside,
                              NormPlacement::kInsidePlain}) {
        for (const bool tied : {true, false}) {
          for (const int64_t head_dim : {2, 4}) {
            for (const auto& eos : std::vector<std::vector<int32_t>>{{}, {2}, {2, 5, 0}}) {
              ModelConfig config = small_config();
              config.hidden_act = act;
              config.linear = linear;
              config.norm = norm;
              config.tie_word_embeddings = tied;
              config.head_dim = head_dim;
              config.eos_token_ids = eos;
              config.bos_token_id = tied ? 1 : -1;
              config.rms_norm_eps = tied ? 1e-5f : 0.3f;
              config.rope_theta = tied ? 500000.0f : 10000.1f;
              const std::string text = model_config_to_json(config).dump();
              EXPECT_EQ(read(parse_json(text, "t")), config) << text;
              ++combinations;
            }
          }
        }
      }
    }
  }
  EXPECT_EQ(combinations, 2 * 3 * 4 * 2 * 2 * 3);
}

TEST(HfConfig, ModelTypeIsOneThatComputesTheSame) {
  const auto type_of = [](LinearKind linear, NormPlacement norm, int64_t head_dim = 2) {
    ModelConfig config = small_config();
    config.linear = linear;
    config.norm = norm;
    config.head_dim = head_dim;
    return model_config_to_json(config).at("model_type").get<std::string>();
  };
  EXPECT_EQ(type_of(LinearKind::kDense, NormPlacement::kPre), "llama");
  EXPECT_EQ(type_of(LinearKind::kDense, NormPlacement::kPre, 4), "llama");
  EXPECT_EQ(type_of(LinearKind::kDense, NormPlacement::kSub), "tercet");
  EXPECT_EQ(type_of(LinearKind::kDense, NormPlacement::kInside), "tercet");
  EXPECT_EQ(type_of(LinearKind::kB158, NormPlacement::kPre), "llama");
  EXPECT_EQ(type_of(LinearKind::kB1, NormPlacement::kPre), "tercet");
  EXPECT_EQ(type_of(LinearKind::kB158, NormPlacement::kInsidePlain), "tercet");
  EXPECT_EQ(type_of(LinearKind::kB158, NormPlacement::kInside), "llama");
  EXPECT_EQ(type_of(LinearKind::kB158, NormPlacement::kSub), "bitnet");
  // transformers gives a bitnet attention norm hidden_size weights, which is wrong here.
  EXPECT_EQ(type_of(LinearKind::kB158, NormPlacement::kSub, 4), "tercet");
}

TEST(HfConfig, OneBitDirectoriesAreRefused) {
  ModelConfig config = small_config();
  config.linear = LinearKind::kOneBit;
  const Json json = model_config_to_json(config);
  try {
    read(json);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("config.json: OneBit models are read from GGUF"),
              std::string::npos);
  }
}

TEST(HfConfig, FloatsAreWrittenAsBrieflyAsTheyAre) {
  const std::string text = model_config_to_json(small_config()).dump();
  EXPECT_NE(text.find("\"rms_norm_eps\":1e-05"), std::string::npos) << text;
}

TEST(HfConfig, AbsentFieldsMeanWhatTransformersAssumes) {
  const ModelConfig llama = read(llama_json());
  EXPECT_EQ(llama.num_key_value_heads, 6);
  EXPECT_EQ(llama.head_dim, 2);
  EXPECT_EQ(llama.hidden_act, Activation::kSilu);
  EXPECT_EQ(llama.rms_norm_eps, 1e-6f);
  EXPECT_EQ(llama.rope_theta, 10000.0f);
  EXPECT_FALSE(llama.tie_word_embeddings);
  EXPECT_EQ(llama.linear, LinearKind::kDense);
  EXPECT_EQ(llama.norm, NormPlacement::kPre);

  Json json = llama_json();
  json["model_type"] = "bitnet";
  json["bos_token_id"] = 1;
  json["eos_token_id"] = {2, 3};
  const ModelConfig bitnet = read(json);
  EXPECT_EQ(bitnet.hidden_act, Activation::kRelu2);
  EXPECT_EQ(bitnet.rope_theta, 500000.0f);
  EXPECT_EQ(bitnet.linear, LinearKind::kB158);
  EXPECT_EQ(bitnet.norm, NormPlacement::kSub);
  EXPECT_EQ(bitnet.eos_token_ids, (std::vector<int32_t>{2, 3}));
}

TEST(HfConfig, NullsAreAbsent) {
  Json json = llama_json();
  for (const char* field : {"num_key_value_heads", "head_dim", "rope_scaling", "bos_token_id",
                            "eos_token_id", "quantization_config"}) {
    json[field] = nullptr;
  }
  const ModelConfig config = read(json);
  EXPECT_EQ(config.num_key_value_heads, 6);
  EXPECT_EQ(config.bos_token_id, -1);
  EXPECT_TRUE(config.eos_token_ids.empty());
}

TEST(HfConfig, RopeParametersInBothPlaces) {
  Json json = llama_json();
  json["rope_theta"] = 250000.0;
  EXPECT_EQ(read(json).rope_theta, 250000.0f);
  json.erase("rope_theta");
  json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 300000}};
  EXPECT_EQ(read(json).rope_theta, 300000.0f);
  json["rope_parameters"]["rope_type"] = "longrope";
  expect_error(ErrorCode::kUnsupported, "rope_parameters.rope_type is \"longrope\"",
               [&] { read(json); });
  json.erase("rope_parameters");
  json["rope_scaling"] = {{"type", "dynamic"}, {"factor", 2.0}};
  expect_error(ErrorCode::kUnsupported, "rope_scaling.type is \"dynamic\"", [&] { read(json); });
}

TEST(HfConfig, QuantizationConfigOfLlama) {
  Json json = llama_json();
  json["quantization_config"] = online();
  EXPECT_EQ(read(json).linear, LinearKind::kB158);
  EXPECT_EQ(read(json).norm, NormPlacement::kPre);
  json["quantization_config"]["use_rms_norm"] = true;
  json["quantization_config"]["rms_norm_eps"] = 1e-6;
  EXPECT_EQ(read(json).norm, NormPlacement::kPreInside);
  json["norm"] = "inside";  // as Tercet writes it
  EXPECT_EQ(read(json).norm, NormPlacement::kInside);
  json["quantization_config"]["rms_norm_eps"] = 1e-5;
  expect_error(ErrorCode::kUnsupported, "quantization_config.rms_norm_eps", [&] { read(json); });
}

TEST(HfConfig, RefusesOtherQuantizers) {
  const auto refused = [](const char* field, const Json& value, const std::string& text) {
    for (const char* type : {"llama", "bitnet"}) {
      Json json = llama_json();
      json["model_type"] = type;
      json["eos_token_id"] = json["bos_token_id"] = 1;
      json["quantization_config"] = online();
      json["quantization_config"][field] = value;
      expect_error(ErrorCode::kUnsupported, text, [&] { read(json); });
    }
  };
  refused("quant_method", "gptq", "quantization_config.quant_method is \"gptq\"");
  refused("linear_class", "otherlinear", "quantization_config.linear_class is \"otherlinear\"");
  refused("quantization_mode", "later", "quantization_config.quantization_mode is \"later\"");
  refused("modules_to_not_convert", {"lm_head", "layers.[0-3]"}, "'layers.[0-3]' is not the name");
  refused("modules_to_not_convert", {"lm_head", 1}, "'' is not the name");
  refused("modules_to_not_convert", {"model.layers.0"}, "names modules but not lm_head");
  refused("modules_to_not_convert", Json(10001, "lm_head"), "10001 names");
}

// By the rules of transformers: from the start to the end of a module's name, or the end of it.
TEST(HfConfig, ModulesThatStayDense) {
  using Names = std::vector<std::string>;
  const auto dense_maps = [](const Json& names) {
    Json json = llama_json();
    json["num_hidden_layers"] = 12;
    json["quantization_config"] = online();
    json["quantization_config"]["modules_to_not_convert"] = names;
    return read(json).dense_maps;
  };
  EXPECT_EQ(dense_maps(nullptr), Names());
  EXPECT_EQ(dense_maps(Json::array()), Names());
  EXPECT_EQ(dense_maps({"lm_head", "mlp", "model.layers.1.mlp.up", "model.embed_tokens"}), Names());
  EXPECT_EQ(dense_maps({"lm_head", "model.layers.1.mlp"}),
            (Names{"model.layers.1.mlp.down_proj", "model.layers.1.mlp.gate_proj",
                   "model.layers.1.mlp.up_proj"}));
  EXPECT_EQ(dense_maps({"model.layers.1.self_attn.q_proj", "lm_head"}),
            Names{"model.layers.1.self_attn.q_proj"});
  EXPECT_EQ(dense_maps({"lm_head", "model.layers.1"}).size(), 7u);
  EXPECT_EQ(dense_maps({"lm_head", "up_proj"}).size(), 12u);
  EXPECT_EQ(dense_maps({"lm_head", "model"}).size(), 84u);

  Json json = llama_json();
  json["quantization_config"] = online();
  json["quantization_config"]["modules_to_not_convert"] = {"lm_head", "o_proj"};
  const ModelConfig config = read(json);
  EXPECT_EQ(read(model_config_to_json(config)), config);
  for (const TensorSpec& spec : tensor_specs(config)) {
    if (!spec.hf_name.ends_with("_proj.weight")) continue;
    EXPECT_EQ(spec.low_bit, !spec.hf_name.ends_with("o_proj.weight")) << spec.hf_name;
  }
  json["quantization_config"]["use_rms_norm"] = true;
  json["quantization_config"]["rms_norm_eps"] = 1e-6;
  expect_error(ErrorCode::kUnsupported, "self_attn.o_proj', and use_rms_norm is true",
               [&] { read(json); });
}

TEST(HfConfig, StorageOfTernaryWeights) {
  const auto storage = [](const Json& linear_class, const Json& mode) {
    Json json = llama_json();
    json["quantization_config"] = online();
    json["quantization_config"]["linear_class"] = linear_class;
    json["quantization_config"]["quantization_mode"] = mode;
    EXPECT_EQ(read(json).linear, LinearKind::kB158);
    return ternary_storage_from_json(json, "config.json");
  };
  // transformers' defaults: bitlinear, offline.
  EXPECT_EQ(storage(nullptr, nullptr), (HfTernaryStorage{true, true, {}}));
  EXPECT_EQ(storage("bitlinear", "online"), (HfTernaryStorage{true, true, {}}));
  EXPECT_EQ(storage("autobitlinear", "offline"), (HfTernaryStorage{true, false, {}}));
  EXPECT_EQ(storage("autobitlinear", "online"), (HfTernaryStorage{false, false, {}}));
  EXPECT_EQ(ternary_storage_from_json(llama_json(), "config.json"), HfTernaryStorage{});
}

TEST(HfConfig, RefusesWhatItWouldMisread) {
  const auto refused = [](ErrorCode code, const char* field, const Json& value,
                          const std::string& text) {
    Json json = llama_json();
    json[field] = value;
    expect_error(code, "config.json", [&] { read(json); });
    expect_error(code, text, [&] { read(json); });
  };
  refused(ErrorCode::kUnsupported, "model_type", "mamba", "\"mamba\"");
  refused(ErrorCode::kUnsupported, "model_type", nullptr, "model_type");
  refused(ErrorCode::kUnsupported, "final_logit_softcapping", 30.0, "final_logit_softcapping");
  refused(ErrorCode::kUnsupported, "attn_logit_softcapping", 50, "attn_logit_softcapping");
  refused(ErrorCode::kUnsupported, "num_local_experts", 8, "num_local_experts");
  refused(ErrorCode::kUnsupported, "use_bidirectional_attention", true, "use_bidirectional");
  refused(ErrorCode::kUnsupported, "hidden_act", "gelu", "hidden_act");
  refused(ErrorCode::kBadInput, "model_type", 3, "model_type");
  refused(ErrorCode::kBadInput, "hidden_size", 12.5, "hidden_size is 12.5");
  refused(ErrorCode::kBadInput, "hidden_size", "12", "hidden_size is \"12\"");
  refused(ErrorCode::kBadInput, "hidden_size", 1e30, "hidden_size");
  refused(ErrorCode::kBadInput, "hidden_size", nullptr, "hidden_size is missing");
  refused(ErrorCode::kBadInput, "num_attention_heads", 5, "does not divide hidden_size");
  refused(ErrorCode::kBadInput, "num_attention_heads", 0, "num_attention_heads");
  refused(ErrorCode::kBadInput, "num_key_value_heads", 4, "num_key_value_heads");
  refused(ErrorCode::kBadInput, "eos_token_id", 99, "eos_token_id");
  refused(ErrorCode::kBadInput, "eos_token_id", {1, int64_t{1} << 40}, "eos_token_id");
  refused(ErrorCode::kBadInput, "rms_norm_eps", "1e-5", "rms_norm_eps");
  refused(ErrorCode::kBadInput, "tie_word_embeddings", 1, "tie_word_embeddings");
  refused(ErrorCode::kBadInput, "rope_scaling", 3, "rope_scaling");
  expect_error(ErrorCode::kBadInput, "config.json", [] { read(Json::array({1})); });
}

TEST(HfConfig, OwnTypeNeedsItsKindsSpelledOut) {
  ModelConfig config = small_config();
  config.norm = NormPlacement::kSub;
  Json json = model_config_to_json(config);
  ASSERT_EQ(json["model_type"], "tercet");
  json["norm"] = "post";
  expect_error(ErrorCode::kBadInput, "config.json: unknown norm placement 'post'",
               [&] { read(json); });
  json.erase("norm");
  expect_error(ErrorCode::kBadInput, "config.json: norm is missing", [&] { read(json); });
}

}  // namespace
}  // namespace tercet
