// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "learn/ptq/adam.h"
#include "learn/ptq/block_training.h"
#include "learn/ptq/end_to_end.h"
#include "learn/ptq/head.h"
#include "learn/ptq/prediction_loss.h"
#include "learn/ptq/scaled_ternary.h"
#include "learn/ptq/threshold.h"

namespace tercet::learn {
namespace {

// The formula by libtorch's operators.
at::Tensor plain_ternary(const at::Tensor& w, const at::Tensor& log_scale, const Grouping& grouping,
                         double sharpness) {
  const at::Tensor soft = (at::tanh(sharpness * (w - 0.5)) + at::tanh(sharpness * (w + 0.5))) /
                          (2 * std::tanh(sharpness));
  const at::Tensor codes = std::isinf(sharpness) ? w + (ternary_codes(w) - w).detach() : soft;
  const at::Tensor scales = log_scale.exp().expand({w.size(0), log_scale.size(1)});
  return codes * at_columns(scales, neighbour_groups(grouping, w.size(1)));
}

TEST(ScaledTernary, AndItsGradientsFollowTheFormula) {
  at::manual_seed(5);
  for (const char* grouping_text : {"row", "tensor", "24"}) {
    const Grouping grouping = parse_grouping(grouping_text);
    const bool one = grouping.scope == packing::ScaleScope::kTensor;
    for (const double sharpness : {0.01, 0.3, 4.0, 30.0, kHardTernary}) {
      // Widths that neither the lanes nor the groups divide.
      at::Tensor w = at::randn({37, 103}).set_requires_grad(true);
      at::Tensor log_scale =
          (at::randn(one ? at::IntArrayRef({1, 1}) : at::IntArrayRef({37, grouping.groups(103)})) -
           3)
              .set_requires_grad(true);
      const at::Tensor dy = at::randn({37, 103});
      at::Tensor w_double = w.detach().to(at::kDouble).set_requires_grad(true);
      at::Tensor scale_double = log_scale.detach().to(at::kDouble).set_requires_grad(true);
      const at::Tensor wanted = plain_ternary(w_double, scale_double, grouping, sharpness);
      wanted.backward(dy.to(at::kDouble));
      const at::Tensor got = scaled_ternary(w, log_scale, grouping, sharpness);
      got.backward(dy);
      const auto close = [&](const at::Tensor& a, const at::Tensor& b) {
        return at::allclose(a.to(at::kDouble), b, 2e-5, 2e-6 * b.abs().max().item<double>());
      };
      EXPECT_TRUE(close(got, wanted)) << grouping_text << " " << sharpness;
      EXPECT_TRUE(close(w.grad(), w_double.grad())) << grouping_text << " " << sharpness;
      EXPECT_TRUE(close(log_scale.grad(), scale_double.grad()))
          << grouping_text << " " << sharpness;
    }
  }
}

TEST(ScaledTernary, RefusesWhatItWouldReadBeyond) {
  const at::Tensor w = at::ones({4, 16});
  const Grouping groups = parse_grouping("8");
  EXPECT_THROW(scaled_ternary(w, at::zeros({4, 1}), groups, 4), Error);
  EXPECT_THROW(scaled_ternary(w, at::zeros({3, 2}), groups, 4), Error);
  EXPECT_THROW(scaled_ternary(w, at::zeros({4, 2}), groups, 100), Error);
  EXPECT_NO_THROW(scaled_ternary(w, at::zeros({4, 2}), groups, 60));
}

TEST(ScaledTernary, LeavesCodesWithoutGradientsAlone) {
  const at::Tensor codes = at::tensor({1.f, 0.f, -1.f, 0.f, 1.f, 1.f}).view({2, 3});
  at::Tensor log_scale = at::tensor({0.5f, -1.f}).view({2, 1}).set_requires_grad(true);
  const at::Tensor values = scaled_ternary(codes, log_scale, parse_grouping("row"), kHardTernary);
  EXPECT_TRUE(at::allclose(values, codes * log_scale.exp()));
  values.backward(at::ones_like(codes));
  EXPECT_FALSE(codes.grad().defined());
  EXPECT_TRUE(at::allclose(log_scale.grad(), values.detach().sum(1, true), 1e-5, 1e-6));
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
  task.rows.assign(inputs.size(), kTokens);
  task.input = [&](size_t i) { return inputs[i]; };
  task.loss = [&](size_t i, const at::Tensor& r) { return (r - targets[i]).square().sum(); };
  task.size = [&](size_t i) { return targets[i].square().sum().item<double>(); };
  BlockTrainingOptions options;
  options.steps = 80;
  options.tokens_per_step = 4 * kTokens;
  BlockWeights trained = original;
  LatentWeights latents;
  train_block(task, options, trained, maps, latents);
  EXPECT_LT(loss_of(trained), 0.7 * loss_of(rounded));
  for (const std::string& map : linear_maps()) {
    EXPECT_TRUE(maps[map].values().equal(trained.at(map + ".weight")));
    EXPECT_TRUE(maps[map].codes.equal(latents.at(map).round().clamp(-1, 1)));
  }
  // Another training goes on from there, where as short a one from the weights would not get.
  const double reached = loss_of(trained);
  options.softest = options.sharpest;
  options.latent_rate = 1e-3;
  options.scale_rate = 1e-4;
  options.steps = 5;
  train_block(task, options, trained, maps, latents);
  EXPECT_LT(loss_of(trained), 1.1 * reached);
  BlockWeights anew = original;
  latents.clear();
  train_block(task, options, anew, maps, latents);
  EXPECT_GT(loss_of(anew), 1.3 * loss_of(trained));

  // The square root's slope at 0 is infinite: the loss of the last step is finite, what it makes of
  // the weights is not.
  for (const int steps : {1, 3}) {
    options.steps = steps;
    task.loss = [&](size_t, const at::Tensor& r) { return (r - r.detach()).abs().sum().sqrt(); };
    BlockWeights lost = original;
    latents.clear();
    try {
      train_block(task, options, lost, maps, latents);
      ADD_FAILURE() << "training went on with numbers that are not finite";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_NE(std::string(error.what()).find("not finite in step"), std::string::npos);
    }
  }
}

std::vector<std::vector<int32_t>> some_windows(const ModelConfig& config) {
  std::vector<std::vector<int32_t>> windows(4);
  for (size_t i = 0; i < windows.size(); ++i) {
    for (int32_t k = 0; k < 20; ++k) {
      windows[i].push_back((k * 7 + static_cast<int32_t>(i) * 13) %
                           static_cast<int32_t>(config.vocab_size));
    }
  }
  return windows;
}

TEST(PredictionLoss, IsNothingForTheSourceAndSeesBlocksThatWereReplaced) {
  const HfModel model(TERCET_SOURCE_DIR "/tests/golden/models/llama");
  const auto windows = some_windows(model.config());
  const RotaryAngles angles = rotary_angles(model.config(), 20);
  ActivationStore streams = source_streams(model, angles, windows, {}, nullptr);
  PredictionLoss loss(model, std::nullopt, angles, streams, at::kFloat);
  const BlockWeights first = load_block(model, 0);
  const at::Tensor r =
      Block(model.config(), 0, first, angles, {}).whole(embedded(model, windows[1]));
  EXPECT_NEAR(loss(0, 1, r).item<double>(), 0, 1e-4);
  EXPECT_GT(loss(0, 1, 1.5 * r + 0.1).item<double>(), 1e-3);
  BlockWeights second = load_block(model, 1);
  for (const std::string& map : linear_maps()) second.tensors[map + ".weight"] *= 0.5;
  loss.replace(1, second, {});
  EXPECT_GT(loss(0, 1, r).item<double>(), 1e-3);
}

class EndToEndOf : public testing::TestWithParam<const char*> {};

TEST_P(EndToEndOf, CodesAreFoundAgainAndPredictionsComeNearer) {
  const HfModel model(TERCET_SOURCE_DIR "/tests/golden/models/llama");
  const ModelConfig& config = model.config();
  const Grouping grouping = parse_grouping(GetParam());
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
  const auto windows = some_windows(config);
  ActivationStore streams = source_streams(model, rotary_angles(config, 20), windows, {}, nullptr);
  EndToEndTask task;
  task.source = &model;
  task.grouping = grouping;
  task.chosen = [](const std::string&) { return true; };
  task.int8_inputs = true;
  task.windows = &windows;
  task.streams = &streams;
  EndToEndOptions options;
  options.steps = 40;
  options.tokens_per_step = 80;
  const std::vector<BlockWeights> before = blocks;
  at::Tensor norm = ModelHead(model).norm();
  const EndToEndReport report = train_end_to_end(task, options, blocks, norm);
  // One scale a matrix can make up for less.
  const bool one = grouping.scope == packing::ScaleScope::kTensor;
  EXPECT_LT(report.last_loss, (one ? 0.9 : 0.8) * report.first_loss);
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    for (const std::string& map : linear_maps()) {
      const at::Tensor& now = blocks[layer].at(map + ".weight");
      EXPECT_TRUE(now.sign().equal(before[layer].at(map + ".weight").sign()));
      EXPECT_TRUE(now.to(at::kHalf).to(at::kFloat).equal(now));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Groupings, EndToEndOf, testing::Values("10", "row", "tensor"));

TEST(Divergence, AndItsGradientsFollowTheFormula) {
  const HfModel model(TERCET_SOURCE_DIR "/tests/golden/models/llama");
  at::manual_seed(7);
  const int64_t tokens = 131;  // more than one block of them
  const at::Tensor r_source = at::randn({tokens, model.config().hidden_size});
  at::Tensor r = (r_source + 0.5 * at::randn_like(r_source)).set_requires_grad(true);
  for (const at::ScalarType compute : {at::kFloat, at::kBFloat16}) {
    const ModelHead source(model, std::nullopt, compute);
    ModelHead given(model, DType::kF16, compute);
    given.norm().set_requires_grad(true);
    const at::Tensor got = divergence(source, r_source, given, r);
    (got * 3).backward();
    const at::Tensor dr = r.grad().clone();
    const at::Tensor dnorm = given.norm().grad().clone();
    r.mutable_grad().reset();
    given.norm().mutable_grad().reset();

    const at::Tensor p = at::log_softmax(
        at::matmul(source.normed(r_source), source.matrix().to(at::kFloat).t()), -1);
    const at::Tensor q =
        at::log_softmax(at::matmul(given.normed(r), given.matrix().to(at::kFloat).t()), -1);
    const at::Tensor wanted = (p.exp() * (p - q)).sum();
    (wanted * 3).backward();
    const double share = compute == at::kFloat ? 1e-5 : 2e-2;
    EXPECT_NEAR(got.item<double>(), wanted.item<double>(), share * wanted.item<double>());
    EXPECT_LT((dr - r.grad()).norm().item<double>(), share * r.grad().norm().item<double>());
    EXPECT_LT((dnorm - given.norm().grad()).norm().item<double>(),
              share * given.norm().grad().norm().item<double>());
    r.mutable_grad().reset();
  }
}

// Of some maps, so that none share a product, and of all.
class RowScalesOf : public testing::TestWithParam<std::vector<std::string>> {};

TEST_P(RowScalesOf, ActAsInTheMatrix) {
  const HfModel model(TERCET_SOURCE_DIR "/tests/golden/models/llama");
  const ModelConfig& config = model.config();
  const RotaryAngles angles = rotary_angles(config, 20);
  BlockWeights whole = load_block(model, 0);
  BlockWeights apart = whole;
  for (const std::string& map : GetParam()) {
    const std::string name = map + ".weight";
    const LowBitMatrix matrix = twn(whole.at(name), parse_grouping("row"));
    whole.tensors[name] = matrix.values();
    apart.tensors[name] = matrix.codes;
    apart.row_scales[map] = matrix.scales.reshape({-1});
  }
  at::manual_seed(3);
  const at::Tensor r = at::randn({20, config.hidden_size});
  const at::Tensor wanted = Block(config, 0, whole, angles, {}).whole(r);
  EXPECT_TRUE(at::allclose(Block(config, 0, apart, angles, {}).whole(r), wanted, 1e-5, 1e-5));
  for (auto& [map, scales] : apart.row_scales) {
    at::Tensor& codes = apart.tensors[map + ".weight"];
    codes = codes.to(at::kBFloat16);
  }
  const at::Tensor rounded = Block(config, 0, apart, angles, {}, at::kBFloat16).whole(r);
  EXPECT_LT((rounded - wanted).norm().item<double>(), 0.02 * wanted.norm().item<double>());
}

INSTANTIATE_TEST_SUITE_P(Maps, RowScalesOf,
                         testing::Values(std::vector<std::string>{"self_attn.q_proj",
                                                                  "mlp.gate_proj", "mlp.down_proj"},
                                         linear_maps()));

TEST(Adam, StepsFollowTheFormula) {
  at::manual_seed(2);
  at::Tensor x = at::randn({5, 7}).set_requires_grad(true);
  at::Tensor y = at::randn({3}).set_requires_grad(true);
  std::vector<at::Tensor> plain = {x.detach().to(at::kDouble), y.detach().to(at::kDouble)};
  std::vector<at::Tensor> mean = {at::zeros_like(plain[0]), at::zeros_like(plain[1])};
  std::vector<at::Tensor> square = {at::zeros_like(plain[0]), at::zeros_like(plain[1])};
  const std::vector<double> rates = {0.1, 0.03};
  Adam adam;
  adam.add(x, rates[0]);
  adam.add(y, rates[1]);
  for (int step = 1; step <= 5; ++step) {
    const double factor = 1.0 / step;
    const std::vector<at::Tensor> gradients = {at::randn({5, 7}), at::randn({3})};
    (x * gradients[0]).sum().backward();
    (y * gradients[1]).sum().backward();
    adam.step(factor);
    for (size_t i = 0; i < plain.size(); ++i) {
      mean[i] = 0.9 * mean[i] + 0.1 * gradients[i];
      square[i] = 0.95 * square[i] + 0.05 * gradients[i] * gradients[i];
      plain[i] = plain[i] - factor * rates[i] * (mean[i] / (1 - std::pow(0.9, step))) /
                                ((square[i] / (1 - std::pow(0.95, step))).sqrt() + 1e-8);
    }
  }
  EXPECT_TRUE(at::allclose(x.detach().to(at::kDouble), plain[0], 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(y.detach().to(at::kDouble), plain[1], 1e-5, 1e-6));
}

}  // namespace
}  // namespace tercet::learn
