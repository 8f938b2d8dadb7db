// SPDX-License-Identifier: Apache-2.0
// swap_linear_layers() on the ways in which C++ modules hold their layers.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/transformerlayer.h>
#include <torch/optim/sgd.h>
#include <torch/serialize.h>
#include <torch/version.h>

#include <sstream>

#include "learn/bit_linear/bit_linear.h"

namespace tercet {
namespace {

namespace nn = torch::nn;

// Layers in members, in a list and in a sequence, and one used without its module's forward().
struct MixedImpl : nn::Cloneable<MixedImpl> {
  MixedImpl() { reset(); }

  void reset() override {
    first = register_module("first", nn::Linear(8, 6));
    list = register_module("list", nn::ModuleList());
    list->push_back(nn::Linear(nn::LinearOptions(6, 6).bias(false)));
    list->push_back(nn::Linear(6, 6));
    tail = register_module("tail", nn::Sequential(nn::Linear(6, 5), nn::Linear(5, 5)));
    head = register_module("head", nn::Linear(5, 3));
  }

  at::Tensor forward(at::Tensor x) {
    x = at::relu(first(x));
    for (const auto& item : *list) x = x + item->as<nn::Linear>()->forward(x);
    x = tail->forward(x);
    return at::linear(x, head->weight, head->bias);
  }

  nn::Linear first{nullptr}, head{nullptr};
  nn::ModuleList list{nullptr};
  nn::Sequential tail{nullptr};
};
TORCH_MODULE(Mixed);

// What Mixed computes when each of its layers is a BitLinear with those weights.
at::Tensor mixed_by_bit_linears(Mixed& model, at::Tensor x, const BitLinearOptions& bits) {
  const auto parameters = model->named_parameters();
  const auto apply = [&](const std::string& name, const at::Tensor& input) {
    const at::Tensor weight = parameters[name + ".weight"];
    const at::Tensor* bias = parameters.find(name + ".bias");
    BitLinear layer(nn::LinearOptions(weight.size(1), weight.size(0)).bias(bias != nullptr), bits);
    layer->weight = weight;
    if (bias != nullptr) layer->bias = *bias;
    return layer(input);
  };
  x = at::relu(apply("first", x));
  x = x + apply("list.0", x);
  x = x + apply("list.1", x);
  return apply("head", apply("tail.1", apply("tail.0", x)));
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Swap, ReachesEveryLayer) {
  for (const BitLinearOptions& bits : {BitLinearOptions(), BitLinearOptions::b1()}) {
    Mixed model;
    const at::Tensor x = at::randn({4, 8});
    const at::Tensor before = model(x);
    const std::vector<std::string> names = swap_linear_layers(*model, bits);
    EXPECT_EQ(names,
              (std::vector<std::string>{"first", "list.0", "list.1", "tail.0", "tail.1", "head"}));
    const at::Tensor y = model(x);
    const at::Tensor expected = mixed_by_bit_linears(model, x, bits);
    EXPECT_TRUE(at::equal(y, expected));
    torch::autograd::backward({y.sum()}, {});
    std::vector<at::Tensor> gradients;
    for (at::Tensor& parameter : model->parameters()) {
      gradients.push_back(parameter.grad().clone());
      parameter.mutable_grad().zero_();
    }
    torch::autograd::backward({expected.sum()}, {});
    for (size_t i = 0; i < gradients.size(); ++i) {
      EXPECT_TRUE(at::equal(gradients[i], model->parameters()[i].grad())) << i;
    }
    EXPECT_EQ(restore_linear_layers(*model), 6);
    EXPECT_TRUE(at::equal(model(x), before));
    EXPECT_EQ(restore_linear_layers(*model), 0);
  }
}

TEST(Swap, TakesWhatIsAccepted) {
  Mixed model;
  const auto no_head = [](const std::string& name) { return name != "head"; };
  EXPECT_EQ(swap_linear_layers(*model, {}, no_head).size(), 5u);
  EXPECT_FALSE(is_bit_linear(*model->head));
  EXPECT_TRUE(is_bit_linear(*model->first));
  EXPECT_TRUE(is_bit_linear(*BitLinear(2, 2)));
  EXPECT_FALSE(is_bit_linear(*model));
  // Those that are done stay as they are.
  EXPECT_EQ(swap_linear_layers(*model, BitLinearOptions::b1()), std::vector<std::string>{"head"});
}

TEST(Swap, WorksInModulesOfLibtorch) {
  nn::TransformerEncoderLayer layer(
      nn::TransformerEncoderLayerOptions(16, 2).dim_feedforward(24).dropout(0));
  const at::Tensor x = at::randn({3, 2, 16});
  const at::Tensor before = layer(x);
  EXPECT_EQ(swap_linear_layers(*layer),
            (std::vector<std::string>{"self_attn.out_proj", "linear1", "linear2"}));
  const at::Tensor y = layer(x);
  EXPECT_GT((y - before).abs().max().item<float>(), 1e-3f);
  torch::autograd::backward({y.pow(2).sum()}, {});
  for (const auto& item : layer->named_parameters()) {
    EXPECT_TRUE(item.value().grad().defined()) << item.key();
  }
}

// Parameters, an optimizer from before, to() and files are as without the swap.
TEST(Swap, LeavesTheParametersAlone) {
  Mixed model;
  const auto before = model->named_parameters();
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.5));
  swap_linear_layers(*model);
  const auto after = model->named_parameters();
  ASSERT_EQ(after.keys(), before.keys());
  for (const auto& item : after) EXPECT_TRUE(item.value().is_same(before[item.key()]));
  const at::Tensor x = at::randn({4, 8});
  const at::Tensor old = after["first.weight"].detach().clone();
  torch::autograd::backward({model(x).pow(2).sum()}, {});
  optimizer.step();
  EXPECT_FALSE(at::equal(after["first.weight"], old));
  EXPECT_TRUE(at::equal(model(x), mixed_by_bit_linears(model, x, {})));
  std::stringstream file;
  torch::save(model, file);
  Mixed loaded;
  torch::load(loaded, file);
  swap_linear_layers(*loaded);
  EXPECT_TRUE(at::equal(loaded(x), model(x)));
  model->to(at::kDouble);
  EXPECT_EQ(model(x.to(at::kDouble)).scalar_type(), at::kDouble);
}

TEST(Swap, WorksWithoutGradients) {
  Mixed model;
  swap_linear_layers(*model);
  const at::Tensor x = at::randn({2, 3, 8});
  const at::Tensor y = model(x).detach();
  {
    const at::NoGradGuard no_gradients;
    EXPECT_TRUE(at::equal(model(x), y));
  }
  const c10::InferenceMode inference;
  EXPECT_TRUE(at::equal(model(x), y));
}

TEST(Swap, AutocastChangesNoProduct) {
  nn::Linear linear(nn::LinearOptions(64, 8).bias(false));  // autocast would round the bias
  swap_linear_layers(*linear);
  const at::Tensor x = at::randn({5, 64});
  const at::Tensor exact = linear(x.to(at::kBFloat16).to(at::kFloat)).detach();
#if TORCH_VERSION_MAJOR >= 2
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const at::Tensor y = linear(x);
  at::autocast::set_autocast_enabled(at::kCPU, false);
#else
  at::autocast::set_cpu_enabled(true);
  const at::Tensor y = linear(x);
  at::autocast::set_cpu_enabled(false);
#endif
  at::autocast::clear_cache();
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(y, exact.to(at::kBFloat16)));
}

TEST(Swap, TiedWeightsTrainTogether) {
  nn::Embedding embedding(11, 6);
  nn::Linear head(nn::LinearOptions(6, 11).bias(false));
  head->weight = embedding->weight;
  swap_linear_layers(*head);
  const at::Tensor y = head(at::randn({2, 6}));
  torch::autograd::backward({y.sum()}, {});
  EXPECT_GT(embedding->weight.grad().abs().sum().item<float>(), 0);
}

TEST(Swap, ClonesArePlain) {
  Mixed model;
  swap_linear_layers(*model);
  const auto copy = std::dynamic_pointer_cast<MixedImpl>(model->clone());
  EXPECT_FALSE(is_bit_linear(*copy->first));
  EXPECT_EQ(swap_linear_layers(*copy).size(), 6u);
  const at::Tensor x = at::randn({4, 8});
  EXPECT_TRUE(at::equal(copy->forward(x), model(x)));
}

TEST(Swap, OtherUsesOfTheMemberAreRefused) {
  nn::Linear linear(6, 4);
  swap_linear_layers(*linear);
  const at::Tensor& weight = linear->weight;
  const at::Tensor x = at::randn({2, 6});
  EXPECT_EQ(weight.sizes(), (std::vector<int64_t>{4, 6}));
  const std::function<void()> uses[] = {
      [&] { weight.abs(); },
      [&] { at::matmul(x, weight); },
      [&] { at::matmul(weight, x.t()); },
      [&] { at::mm(x, weight.t()); },
      [&] {
        at::einsum("ij,oj->io", {x, weight});
      },
      [&] { linear->reset_parameters(); },
      [&] { at::addmm(at::zeros({4}), x, weight.t(), 1, 2); },
      [&] { weight.clone(); },
      [&] { weight.detach(); },
      [&] { weight.data(); },
      [&] { weight.to(at::kDouble).sum(); },
  };
  for (const auto& use : uses) {
    EXPECT_NE(message_of(use).find("named_parameters()"), std::string::npos) << message_of(use);
  }
}

TEST(Swap, PackedStateHoldsEverything) {
  nn::Sequential model(nn::Linear(8, 6), nn::BatchNorm1d(6), BitLinear(6, 4), nn::Linear(4, 2));
  swap_linear_layers(*model, BitLinearOptions::b1(),
                     [](const std::string& name) { return name == "0"; });
  const auto state = packed_state(*model);
  const auto parameters = model->named_parameters();
  EXPECT_EQ(state.size(), parameters.size() + model->named_buffers().size());
  EXPECT_TRUE(at::equal(state["3.weight"], parameters["3.weight"]));
  EXPECT_TRUE(at::equal(state["1.running_var"], model->named_buffers()["1.running_var"]));
  const auto expect_packed = [&](const std::string& name, BitKind kind) {
    EXPECT_TRUE(at::equal(state[name], pack_weight(parameters[name], kind))) << name;
  };
  expect_packed("0.weight", BitKind::kB1);
  expect_packed("2.weight", BitKind::kB158);
}

}  // namespace
}  // namespace tercet
