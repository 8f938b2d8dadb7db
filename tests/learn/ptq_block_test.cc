// SPDX-License-Identifier: Apache-2.0
// The block-wise forward pass against the logits that transformers computed for the tiny models in
// tests/golden/models.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "formats/json_fields.h"
#include "formats/safetensors.h"
#include "learn/ptq/activation_store.h"
#include "learn/ptq/block.h"
#include "learn/ptq/block_inputs.h"
#include "learn/ptq/equalize.h"
#include "learn/ptq/head.h"
#include "temporary_directory.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModels = TERCET_SOURCE_DIR "/tests/golden/models";

at::Tensor tensor_of(const TensorView& view) {
  std::vector<float> values = to_f32(view);
  return at::from_blob(values.data(), view.shape, at::kFloat).clone();
}

at::Tensor logits_of(const HfModel& model, const std::vector<int32_t>& ids) {
  const ModelConfig& config = model.config();
  const RotaryAngles angles = rotary_angles(config, std::ssize(ids));
  at::Tensor r = embedded(model, ids);
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const BlockWeights weights = load_block(model, layer);
    const Block block(config, layer, weights, angles, {});
    r = block.after_attention(r, block.mixed(block.attention_input(r)));
    r = block.after_ffn(r, block.gated(block.ffn_input(r)));
  }
  at::Tensor norm = tensor_of(model.tensor("model.norm.weight"));
  if (config.zero_centered_norms) norm = norm + 1;
  const at::Tensor head = tensor_of(
      model.tensor(config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"));
  return at::matmul(rms_normed(r, norm, static_cast<double>(config.rms_norm_eps)), head.t());
}

TEST(Block, GivesTheLogitsOfTransformersForEveryDenseArchitecture) {
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    const HfModel model(entry.path());
    const ModelConfig& config = model.config();
    if (config.linear != LinearKind::kDense) continue;
    const Json json = read_json_file(entry.path() / "golden.json");
    const JsonFields fields(json, "golden.json");
    std::vector<int32_t> ids;
    for (const int64_t id : fields.integers_or("ids", {})) ids.push_back(static_cast<int32_t>(id));
    const SafetensorsFile golden(entry.path() / "golden.safetensors");
    const at::Tensor expected = tensor_of(golden.tensor("logits"));
    const at::Tensor positions =
        at::tensor(at::ArrayRef<int64_t>(fields.integers_or("positions", {})), at::kLong);
    const at::Tensor found = logits_of(model, ids).index_select(0, positions);
    const double error =
        ((found - expected.reshape(found.sizes())).norm() / expected.norm()).item<double>();
    EXPECT_LT(error, 1e-4) << entry.path();
    ++compared;
  }
  EXPECT_GE(compared, 10);
}

// What a block makes of r, and the gradients of a random sum of that by r and all weights.
std::map<std::string, at::Tensor> outputs_and_gradients(const HfModel& model,
                                                        at::ScalarType compute,
                                                        const std::vector<std::string>& low_bit) {
  const at::AutoGradMode gradients(true);
  at::manual_seed(7);
  const ModelConfig& config = model.config();
  const RotaryAngles angles = rotary_angles(config, 19);
  BlockWeights weights = load_block(model, 0);
  for (auto& [name, tensor] : weights.tensors) tensor.set_requires_grad(true);
  at::Tensor r = at::randn({19, config.hidden_size}).set_requires_grad(true);
  const at::Tensor y = Block(config, 0, weights, angles, low_bit, compute).whole(r);
  (y * at::randn(y.sizes())).sum().backward();
  std::map<std::string, at::Tensor> out = {{"output", y.detach()}, {"input", r.grad()}};
  for (auto& [name, tensor] : weights.tensors) out[name] = tensor.grad();
  return out;
}

TEST(Block, FusedOperatorsInBf16AgreeForEveryDenseArchitecture) {
  for (const auto& entry : fs::directory_iterator(kModels)) {
    const HfModel model(entry.path());
    if (model.config().linear != LinearKind::kDense) continue;
    for (const std::vector<std::string>& low_bit :
         {std::vector<std::string>(),
          std::vector<std::string>{"self_attn.v_proj", "mlp.up_proj"}}) {
      const auto exact = outputs_and_gradients(model, at::kFloat, low_bit);
      const auto fast = outputs_and_gradients(model, at::kBFloat16, low_bit);
      for (const auto& [name, tensor] : exact) {
        ASSERT_TRUE(fast.at(name).defined()) << entry.path() << " " << name;
        const double size = tensor.norm().item<double>();
        const double error = (fast.at(name) - tensor).norm().item<double>();
        EXPECT_LT(error, 0.03 * size + 1e-6) << entry.path() << " " << name;
      }
    }
  }
}

TEST(Equalize, ChangesWeightsAndNotWhatTheBlockComputes) {
  for (const auto& entry : fs::directory_iterator(kModels)) {
    const HfModel model(entry.path());
    const ModelConfig& config = model.config();
    if (config.linear != LinearKind::kDense) continue;
    at::manual_seed(11);
    const BlockWeights before = load_block(model, 0);
    BlockWeights after = before;
    InputMagnitudes magnitudes;
    for (size_t k = 0; k < magnitudes.size(); ++k) {
      const int64_t cols = before.at(inputs_of_block()[k].maps.front() + ".weight").size(1);
      magnitudes[k] = at::rand({cols}) + 0.1;
      magnitudes[k][0] = 0;  // a channel that never fires keeps its weights
    }
    equalize(config, magnitudes, 0.5, after);
    for (const std::string& map : linear_maps()) {
      EXPECT_FALSE(after.at(map + ".weight").allclose(before.at(map + ".weight"), 1e-2))
          << entry.path() << " " << map;
    }
    const RotaryAngles angles = rotary_angles(config, 9);
    const at::Tensor r = at::randn({9, config.hidden_size});
    const at::Tensor expected = Block(config, 0, before, angles, {}).whole(r) - r;
    const at::Tensor found = Block(config, 0, after, angles, {}).whole(r) - r;
    EXPECT_LT((found - expected).norm().item<double>(), 1e-4 * expected.norm().item<double>())
        << entry.path();
  }
}

TEST(Equalize, RaisesLoudChannelsByTheExponent) {
  const HfModel model(fs::path(kModels) / "llama");
  const BlockWeights before = load_block(model, 0);
  BlockWeights after = before;
  const int64_t cols = before.at("mlp.down_proj.weight").size(1);
  at::Tensor loud = at::ones({cols});
  loud[3] = 100;
  equalize(model.config(), {at::Tensor(), at::Tensor(), at::Tensor(), loud}, 0.5, after);
  const double mean = std::pow(100.0, 1.0 / static_cast<double>(cols));
  const at::Tensor ratio = after.at("mlp.down_proj.weight") / before.at("mlp.down_proj.weight");
  EXPECT_NEAR(ratio.select(1, 3).mean().item<double>(), std::sqrt(100 / mean), 1e-3);
  EXPECT_NEAR(ratio.select(1, 4).mean().item<double>(), std::sqrt(1 / mean), 1e-3);
  EXPECT_TRUE(after.at("self_attn.q_proj.weight").equal(before.at("self_attn.q_proj.weight")));
}

// Whatever factors went from a norm into the maps behind it, these act as before.
TEST(SeenThroughGains, UndoesWhatWentIntoNorms) {
  int norms = 0;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    const HfModel model(entry.path());
    const ModelConfig& config = model.config();
    if (config.linear != LinearKind::kDense) continue;
    at::manual_seed(12);
    BlockWeights before = load_block(model, 0);
    for (size_t k = 0; k < inputs_of_block().size(); ++k) {
      const std::string gains = gains_of_input(config, before, k);
      EXPECT_TRUE(!gains.empty() || k == 1 || k == 3) << entry.path();
      const at::Tensor weight = before.at(inputs_of_block()[k].maps.front() + ".weight");
      if (gains.empty()) {
        EXPECT_TRUE(seen_through_gains(weight, config, k, before, before).equal(weight));
        continue;
      }
      ++norms;
      before.tensors.at(gains)[2] = 0;  // a channel that was silent
      BlockWeights now = before;
      const at::Tensor s = at::rand({weight.size(1)}) + 0.5;
      now.tensors.at(gains) = before.at(gains) / s;
      const at::Tensor seen = seen_through_gains(weight * s, config, k, before, now);
      EXPECT_TRUE(at::allclose(seen.slice(1, 3), weight.slice(1, 3), 1e-5, 1e-7)) << entry.path();
      EXPECT_TRUE(seen.isfinite().all().item<bool>());
    }
  }
  EXPECT_GE(norms, 20);
}

TEST(Block, RoundsInputsOfLowBitMapsPerToken) {
  const at::Tensor x = at::tensor({1.0f, -0.5f, 0.003f, 100.0f, 0.4f, 0.0f}).reshape({2, 3});
  const at::Tensor rounded = rounded_to_int8(x);
  EXPECT_FLOAT_EQ(rounded[0][0].item<float>(), 1.0f);
  EXPECT_FLOAT_EQ(rounded[0][1].item<float>(), -64.0f / 127.0f);
  EXPECT_FLOAT_EQ(rounded[0][2].item<float>(), 0.0f);
  EXPECT_FLOAT_EQ(rounded[1][1].item<float>(), 100.0f / 127.0f);
}

TEST(ActivationStore, KeepsTheSameOnDiskAsInMemory) {
  const std::vector<int64_t> rows = {3, 1, 5};
  const tercet::testing::TemporaryDirectory directory;
  ActivationStore memory(rows, 7, {});
  ActivationStore disk(rows, 7, directory.path());
  for (const size_t i : {size_t{2}, size_t{0}, size_t{1}, size_t{2}}) {
    const at::Tensor values = at::randn({rows[i], 7});
    memory.put(i, values);
    disk.put(i, values);
  }
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_TRUE(disk.get(i).equal(memory.get(i)));
  EXPECT_EQ(ActivationStore::bytes(rows, 7), 9u * 7u * 4u);
  EXPECT_THROW(ActivationStore(rows, 7, directory / "missing"), Error);
}

}  // namespace
}  // namespace tercet::learn
