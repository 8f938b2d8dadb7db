// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "learn/ptq/adam.h"
#include "learn/ptq/block_training.h"
#include "learn/ptq/end_to_end.h"
#include "learn/ptq/head.h"
#include "learn/ptq/threshold.h"

namespace tercet::learn {
namespace {

TEST(SoftTernary, GoesFromTheNumberItselfToItsCode) {
  const at::Tensor w = at::tensor({-1.4f, -0.6f, -0.3f, 0.0f, 0.2f, 0.7f, 1.0f});
  EXPECT_TRUE(at::allclose(soft_ternary(w, 1e-2), w, 1e-3, 1e-3));
  EXPECT_TRUE(at::allclose(soft_ternary(w, 100), at::tensor({-1.f, -1.f, 0.f, 0.f, 0.f, 1.f, 1.f}),
                           1e-3, 1e-3));
  const at::Tensor hard = hard_ternary(w);
  EXPECT_TRUE(hard.equal(at::tensor({-1.f, -1.f, 0.f, 0.f, 0.f, 1.f, 1.f})));
  at::Tensor x = w.clone().set_requires_grad(true);
  (hard_ternary(x) * 3).sum().backward();
  EXPECT_TRUE(x.grad().equal(at::full_like(w, 3)));
}

TEST(Adam, GoesToTheMinimum) {
  at::Tensor x = at::tensor({3.0f, -2.0f}).set_requires_grad(true);
  Adam adam;
  adam.add(x, 0.1);
  for (int i = 0; i < 300; ++i) {
    (x - at::tensor({1.0f, 0.5f})).square().sum().backward();
    adam.step(1 - i / 300.0);
  }
  EXPECT_TRUE(at::allclose(x.detach(), at::tensor({1.0f, 0.5f}), 1e-2, 1e-2));
}

TEST(TrainBlock, ComesNearerToTheFullPrecisionBlock) {
  const HfModel model(TERCET_SOURCE_DIR "/tests/golden/models/llama");
  const ModelConfig& config = model.config();
  constexpr int64_t kTokens = 24;
  const RotaryAngles angles = rotary_angles(config, kTokens);
  const BlockWeights original = load_block(model, 0);
  const Block in_full(config, 0, original, angles, {});
  std::vector<at::Tensor> inputs;
  std::vector<at::Tensor> targets;
  at::manual_seed(3);
  for (int i = 0; i < 8; ++i) {
    at::Tensor r = at::randn({kTokens, config.hidden_size});
    inputs.push_back(r);
    r = in_full.after_attention(r, in_full.mixed(in_full.attention_input(r)));
    targets.push_back(in_full.after_ffn(r, in_full.gated(in_full.ffn_input(r))));
  }
  const auto loss_of = [&](const BlockWeights& weights) {
    const Block block(config, 0, weights, angles, {});
    double loss = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      at::Tensor r = inputs[i];
      r = block.after_attention(r, block.mixed(block.attention_input(r)));
      r = block.after_ffn(r, block.gated(block.ffn_input(r)));
      loss += (r - targets[i]).square().sum().item<double>();
    }
    return loss;
  };
  BlockWeights rounded = original;
  std::map<std::string, LowBitMatrix> maps;
  for (const std::string& map : linear_maps()) {
    maps[map] = twn(original.at(map + ".weight"), {packing::ScaleScope::kRow, 0});
    rounded.tensors[map + ".weight"] = maps[map].values();
  }
  BlockTrainingTask task;
  task.config = &config;
  task.angles = &angles;
  task.windows = inputs.size();
  task.input = [&](size_t i) { return inputs[i]; };
  task.target = [&](size_t i) { return targets[i]; };
  BlockTrainingOptions options;
  options.steps = 80;
  options.windows_per_step = 4;
  BlockWeights trained = original;
  train_block(task, options, trained, maps);
  EXPECT_LT(loss_of(trained), 0.7 * loss_of(rounded));
  for (const std::string& map : linear_maps()) {
    EXPECT_TRUE(maps[map].values().equal(trained.at(map + ".weight")));
    EXPECT_TRUE(maps[map].codes.abs().le(1).all().item<bool>());
  }
}

TEST(EndToEnd, CodesAreFoundAgainAndPredictionsComeNearer) {
  const HfModel model(TERCET_SOURCE_DIR "/tests/golden/models/llama");
  const ModelConfig& config = model.config();
  const Grouping grouping{packing::ScaleScope::kGroup, 10};
  std::vector<BlockWeights> blocks;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    blocks.push_back(load_block(model, layer));
    for (const std::string& map : linear_maps()) {
      LowBitMatrix matrix = twn(blocks.back().at(map + ".weight"), grouping);
      round_to_stored(matrix);
      const LowBitMatrix found = codes_of(matrix.values(), grouping);
      EXPECT_TRUE(found.values().equal(matrix.values()));
      EXPECT_TRUE(found.codes.equal(matrix.codes));
      blocks.back().tensors[map + ".weight"] = matrix.values();
    }
  }
  std::vector<std::vector<int32_t>> windows(4);
  for (size_t i = 0; i < windows.size(); ++i) {
    for (int32_t k = 0; k < 20; ++k) {
      windows[i].push_back((k * 7 + static_cast<int32_t>(i) * 13) %
                           static_cast<int32_t>(config.vocab_size));
    }
  }
  EndToEndTask task;
  task.source = &model;
  task.grouping = grouping;
  task.chosen = [](const std::string&) { return true; };
  task.int8_inputs = true;
  task.windows = &windows;
  EndToEndOptions options;
  options.steps = 40;
  options.windows_per_step = 4;
  const std::vector<BlockWeights> before = blocks;
  at::Tensor norm = ModelHead(model).norm();
  const EndToEndReport report = train_end_to_end(task, options, blocks, norm);
  EXPECT_LT(report.last_loss, 0.8 * report.first_loss);
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    for (const std::string& map : linear_maps()) {
      const at::Tensor& now = blocks[layer].at(map + ".weight");
      EXPECT_TRUE(now.sign().equal(before[layer].at(map + ".weight").sign()));
      EXPECT_TRUE(now.to(at::kHalf).to(at::kFloat).equal(now));
    }
  }
}

}  // namespace
}  // namespace tercet::learn
