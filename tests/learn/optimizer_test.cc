// SPDX-License-Identifier: Apache-2.0
// Our AdamW against libtorch's.
#include "learn/pretrain/optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/optim/adamw.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "core/error.h"
#include "learn/pretrain/sharded_optimizer.h"
#include "temporary_directory.h"

namespace tercet::learn {
namespace {

std::vector<Parameter> two_parameters() {
  at::manual_seed(7);
  return {{"matrix", at::randn({37, 1001}).set_requires_grad(true), true},
          {"gain", at::randn({13}).set_requires_grad(true), false}};
}

void set_gradients(std::vector<Parameter>& parameters, double size) {
  for (Parameter& p : parameters) p.value.mutable_grad() = at::randn(p.value.sizes()) * size;
}

Recipe recipe() {
  Recipe recipe;
  recipe.adam_beta2 = 0.95;
  return recipe;
}

// The joint norm of gradients of that size is far above the limit.
constexpr double kGradients = 0.3;
constexpr double kLimit = 2.0;

template <typename AnyOptimizer>
void clip(AnyOptimizer& optimizer) {
  optimizer.clip(std::sqrt(optimizer.squared_norm()), kLimit);
}

TEST(Optimizer, TakesTheStepsOfLibtorch) {
  std::vector<Parameter> ours = two_parameters();
  std::vector<Parameter> theirs = two_parameters();
  Optimizer optimizer(ours, recipe());
  torch::optim::AdamW matrix({theirs[0].value}, torch::optim::AdamWOptions().betas({0.9, 0.95}));
  torch::optim::AdamW gain({theirs[1].value},
                           torch::optim::AdamWOptions().betas({0.9, 0.95}).weight_decay(0));
  for (int step = 0; step < 20; ++step) {
    const StepRates rates{0.01 / (1 + step), step < 10 ? 0.1 : 0.0};
    set_gradients(ours, kGradients);
    double squares = 0;
    for (size_t i = 0; i < ours.size(); ++i) {
      theirs[i].value.mutable_grad() = ours[i].value.grad().clone();
      squares += ours[i].value.grad().square().sum().item<double>();
    }
    EXPECT_NEAR(optimizer.squared_norm(), squares, 2e-4 * squares);
    clip(optimizer);
    for (Parameter& p : theirs) p.value.mutable_grad().mul_(kLimit / std::sqrt(squares));
    static_cast<torch::optim::AdamWOptions&>(matrix.param_groups()[0].options())
        .lr(rates.learning_rate)
        .weight_decay(rates.weight_decay);
    static_cast<torch::optim::AdamWOptions&>(gain.param_groups()[0].options())
        .lr(rates.learning_rate);
    const auto version = ours[0].value._version();
    optimizer.step(rates);
    EXPECT_GT(ours[0].value._version(), version);
    EXPECT_FALSE(ours[0].value.grad().defined());
    matrix.step();
    gain.step();
    for (size_t i = 0; i < ours.size(); ++i) {
      const double difference = (ours[i].value - theirs[i].value).abs().max().item<double>();
      EXPECT_LT(difference, 2e-6) << ours[i].name << " after step " << step;
    }
  }
}

TEST(Optimizer, SmallGradientsAreNotClipped) {
  std::vector<Parameter> clipped = two_parameters();
  std::vector<Parameter> free = two_parameters();
  Optimizer first(clipped, recipe());
  Optimizer second(free, recipe());
  set_gradients(clipped, 1e-4);
  for (size_t i = 0; i < free.size(); ++i) {
    free[i].value.mutable_grad() = clipped[i].value.grad().clone();
  }
  clip(first);
  first.step({0.01, 0.1});
  second.clip(std::sqrt(second.squared_norm()), 0);
  second.step({0.01, 0.1});
  EXPECT_TRUE(clipped[0].value.equal(free[0].value));
}

TEST(ShardedOptimizer, ContinuesFromItsFile) {
  const tercet::testing::TemporaryDirectory directory;
  const std::filesystem::path file = directory / "optimizer.safetensors";
  std::vector<Parameter> ours = two_parameters();
  ShardedOptimizer optimizer(ours, recipe(), Team());
  set_gradients(ours, kGradients);
  clip(optimizer);
  optimizer.step({0.01, 0.1});
  optimizer.save(file);

  std::vector<Parameter> copies = two_parameters();
  for (size_t i = 0; i < copies.size(); ++i) {
    copies[i].value = ours[i].value.detach().clone().set_requires_grad(true);
  }
  ShardedOptimizer resumed(copies, recipe(), Team());
  resumed.load(file);
  set_gradients(ours, kGradients);
  for (size_t i = 0; i < copies.size(); ++i) {
    copies[i].value.mutable_grad() = ours[i].value.grad().clone();
  }
  optimizer.step({0.01, 0.0});
  resumed.step({0.01, 0.0});
  EXPECT_TRUE(copies[0].value.equal(ours[0].value));

  std::vector<Parameter> others = {{"matrix", at::zeros({3, 3}), true}};
  ShardedOptimizer other(others, recipe(), Team());
  EXPECT_THROW(other.load(file), Error);
}

TEST(Optimizer, SkippedGradientsLeaveNoTrace) {
  std::vector<Parameter> ours = two_parameters();
  Optimizer optimizer(ours, recipe());
  const at::Tensor before = ours[0].value.detach().clone();
  set_gradients(ours, 1.0);
  clip(optimizer);
  optimizer.skip();
  EXPECT_FALSE(ours[0].value.grad().defined());
  optimizer.step({0.01, 0.1});
  EXPECT_TRUE(ours[0].value.equal(before));
}

}  // namespace
}  // namespace tercet::learn
