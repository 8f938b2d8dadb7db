// SPDX-License-Identifier: Apache-2.0
#include "formats/hf_model.h"

#include <algorithm>
#include <deque>

#include "formats/support.h"

namespace tercet {
namespace {

using testing::as_bytes;
using testing::expect_error;
using testing::small_config;
using testing::TemporaryDirectory;
using testing::write_bytes;

// Every tensor of a model, filled with ones, owned here.
class Weights {
 public:
  explicit Weights(const ModelConfig& config) {
    for (const TensorSpec& spec : tensor_specs(config)) {
      add(spec.hf_name, spec.rows == 0 ? std::vector<int64_t>{spec.cols}
                                       : std::vector<int64_t>{spec.rows, spec.cols});
    }
  }

  void add(const std::string& name, const std::vector<int64_t>& shape, float value = 1.0f) {
    TensorView view{name, DType::kF32, shape, {}};
    storage_.emplace_back(static_cast<size_t>(view.elements()), value);
    view.bytes = as_bytes(storage_.back());
    views_.push_back(view);
  }

  void remove(const std::string& name) {
    std::erase_if(views_, [&](const TensorView& view) { return view.name == name; });
  }

  std::vector<TensorView>& views() { return views_; }

 private:
  std::deque<std::vector<float>> storage_;  // does not move its elements
  std::vector<TensorView> views_;
};

class HfModelTest : public ::testing::Test {
 protected:
  void write_config(const ModelConfig& config) {
    write_bytes(directory_.file("config.json"), model_config_to_json(config).dump());
  }
  void write_weights(Weights& weights) {
    write_safetensors(directory_.file("model.safetensors"), weights.views(), {{"format", "pt"}});
  }
  void expect_refused(ErrorCode code, const std::string& text) {
    expect_error(code, text, [&] { HfModel model(directory_.path()); });
    expect_error(code, directory_.path().string(), [&] { HfModel model(directory_.path()); });
  }

  TemporaryDirectory directory_;
};

TEST_F(HfModelTest, OpensEveryArchitecture) {
  for (const auto linear : {LinearKind::kDense, LinearKind::kB158}) {
    for (const auto norm : {NormPlacement::kPre, NormPlacement::kSub, NormPlacement::kInside}) {
      ModelConfig config = small_config();
      config.linear = linear;
      config.norm = norm;
      config.tie_word_embeddings = norm != NormPlacement::kSub;
      write_config(config);
      Weights weights(config);
      write_weights(weights);
      const HfModel model(directory_.path());
      EXPECT_EQ(model.config(), config);
      EXPECT_EQ(model.file_bytes(), static_cast<uint64_t>(config.parameter_count()) * 4);
      EXPECT_EQ(model.tensor("model.embed_tokens.weight").shape, (std::vector<int64_t>{23, 12}));
      EXPECT_EQ(model.find_tensor("nothing"), nullptr);
    }
  }
}

TEST_F(HfModelTest, ChecksTensorsAgainstTheConfig) {
  const ModelConfig config = small_config();
  write_config(config);
  const std::string victim = "model.layers.1.self_attn.k_proj.weight";

  Weights missing(config);
  missing.remove(victim);
  write_weights(missing);
  expect_refused(ErrorCode::kBadInput, "'" + victim + "' is missing");

  Weights transposed(config);
  transposed.remove(victim);
  transposed.add(victim, {12, 6});
  write_weights(transposed);
  expect_refused(ErrorCode::kBadInput, victim + "' has shape [12, 6], config.json says [6, 12]");

  Weights packed(config);
  packed.remove(victim);
  const std::vector<uint8_t> bytes(6 * 12);
  packed.views().push_back({victim, DType::kU8, {6, 12}, bytes});
  write_weights(packed);
  expect_refused(ErrorCode::kUnsupported, victim + "' is u8");
}

TEST_F(HfModelTest, FindsTheTextHalfOfAModelThatAlsoSees) {
  const ModelConfig config = small_config();
  for (const std::string prefix : {"model.language_model.", "language_model.model."}) {
    write_config(config);
    Weights weights(config);
    for (TensorView& view : weights.views()) {
      if (view.name.starts_with("model.")) view.name.replace(0, 6, prefix);
    }
    write_weights(weights);
    const HfModel model(directory_.path());
    EXPECT_EQ(model.tensor("model.embed_tokens.weight").name, prefix + "embed_tokens.weight");
  }
}

TEST_F(HfModelTest, GenerationConfigAddsTokensThatEndATurn) {
  const ModelConfig config = small_config();
  write_config(config);
  Weights weights(config);
  write_weights(weights);
  write_bytes(directory_.file("generation_config.json"), R"({"eos_token_id": [7, 2, 9]})");
  EXPECT_EQ(HfModel(directory_.path()).config().eos_token_ids, (std::vector<int32_t>{2, 7, 9}));
  write_bytes(directory_.file("generation_config.json"), R"({"eos_token_id": 23})");
  expect_refused(ErrorCode::kBadInput, "generation_config.json: eos_token_id is 23");
}

TEST_F(HfModelTest, PackedWeightsHaveAQuarterOfTheRows) {
  ModelConfig config = small_config();
  config.linear = LinearKind::kB158;
  Json json = model_config_to_json(config);
  json["quantization_config"] = {{"quant_method", "bitnet"}};
  write_bytes(directory_.file("config.json"), json.dump());
  Weights weights(config);
  const std::vector<uint8_t> bytes(3 * 12);
  const std::string victim = "model.layers.0.self_attn.q_proj.weight";
  weights.remove(victim);
  weights.views().push_back({victim, DType::kU8, {3, 12}, bytes});
  write_weights(weights);
  EXPECT_TRUE(HfModel(directory_.path()).ternary_storage().packed);
  weights.views().back().shape = {4, 9};
  write_weights(weights);
  expect_refused(ErrorCode::kBadInput, victim + "' has shape [4, 9], config.json says [3, 12]");
}

TEST_F(HfModelTest, RefusesTensorsOfLayersThatItWouldNotUse) {
  const ModelConfig config = small_config();
  write_config(config);
  Weights weights(config);
  weights.add("model.layers.0.self_attn.rotary_emb.inv_freq", {1});
  weights.add("lm_head.weight", {23, 12});  // beside a tied embedding
  write_weights(weights);
  EXPECT_NO_THROW(HfModel(directory_.path()));
  // As the first b1.58 checkpoints have, under model type llama.
  weights.add("model.layers.0.self_attn.inner_attn_ln.weight", {12});
  write_weights(weights);
  expect_refused(ErrorCode::kUnsupported, "inner_attn_ln.weight' does not belong");
}

TEST_F(HfModelTest, OuterNormsOfAnInsideModelMustBeOnes) {
  ModelConfig config = small_config();
  config.linear = LinearKind::kB158;
  config.norm = NormPlacement::kInside;
  write_config(config);
  Weights weights(config);
  weights.add("model.layers.1.input_layernorm.weight", {12});
  write_weights(weights);
  EXPECT_NO_THROW(HfModel(directory_.path()));
  weights.add("model.layers.1.post_attention_layernorm.weight", {12}, 1.5f);
  write_weights(weights);
  expect_refused(ErrorCode::kUnsupported, "layers.1.post_attention_layernorm.weight' is not all");
}

TEST_F(HfModelTest, SaysWhatIsMissing) {
  expect_error(ErrorCode::kIo, "config.json", [&] { HfModel model(directory_.file("absent")); });
  expect_refused(ErrorCode::kIo, "config.json is missing");
  write_config(small_config());
  expect_refused(ErrorCode::kIo, "neither model.safetensors nor model.safetensors.index.json");
  write_bytes(directory_.file("pytorch_model.bin"), "\x80\x02");
  expect_refused(ErrorCode::kUnsupported, "'pytorch_model.bin'");
}

class ShardedModel : public HfModelTest {
 protected:
  // Two shards of a small model and the index that names them.
  ShardedModel() : config_(small_config()), weights_(config_) {
    write_config(config_);
    const auto middle = weights_.views().begin() + 7;
    first_.assign(weights_.views().begin(), middle);
    second_.assign(middle, weights_.views().end());
    for (const TensorView& view : first_) index_["weight_map"][view.name] = kFirst;
    for (const TensorView& view : second_) index_["weight_map"][view.name] = kSecond;
  }

  void write() {
    write_safetensors(directory_.file(kFirst), first_, {});
    write_safetensors(directory_.file(kSecond), second_, {});
    write_bytes(directory_.file("model.safetensors.index.json"), index_.dump());
  }

  static constexpr const char* kFirst = "model-00001-of-00002.safetensors";
  static constexpr const char* kSecond = "model-00002-of-00002.safetensors";
  ModelConfig config_;
  Weights weights_;
  std::vector<TensorView> first_;
  std::vector<TensorView> second_;
  Json index_;
};

TEST_F(ShardedModel, FindsTensorsInTheirShards) {
  write();
  const HfModel model(directory_.path());
  for (const TensorSpec& spec : tensor_specs(config_)) {
    const auto values = to_f32(model.tensor(spec.hf_name));
    EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](float v) { return v == 1.0f; }));
  }
}

TEST_F(ShardedModel, RefusesAnIndexThatPointsElsewhere) {
  for (const char* name : {"../model.safetensors", "/etc/passwd", "a/b", "", ".", "..", "a\\b"}) {
    index_["weight_map"]["model.norm.weight"] = name;
    write();
    expect_refused(ErrorCode::kBadInput, "no plain file name");
  }
  index_["weight_map"]["model.norm.weight"] = 3;
  write();
  expect_refused(ErrorCode::kBadInput, "'model.norm.weight' is not a file name");
}

TEST_F(ShardedModel, RefusesAnIndexThatIsWrong) {
  index_["weight_map"]["model.norm.weight"] = kFirst;  // it is in the second
  write();
  expect_refused(ErrorCode::kBadInput, "'model.norm.weight' is not in");
  index_["weight_map"]["model.norm.weight"] = kSecond;
  second_.push_back(first_.front());
  write();
  expect_refused(ErrorCode::kBadInput, "in another shard too");
  second_.pop_back();
  index_["weight_map"]["model.norm.weight"] = "absent.safetensors";
  write();
  expect_refused(ErrorCode::kIo, "absent.safetensors");
  index_ = {{"weight_map", Json::object()}};
  write();
  expect_refused(ErrorCode::kBadInput, "weight_map is missing or empty");
}

}  // namespace
}  // namespace tercet
