// SPDX-License-Identifier: Apache-2.0
// Recomputed blocks give the same bits as kept ones, and keep nothing.
#include "learn/nn/recompute.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cstring>

#include "learn/nn/transformer.h"

namespace tercet::learn {
namespace {

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() &&
         std::memcmp(a.contiguous().data_ptr(), b.contiguous().data_ptr(), a.nbytes()) == 0;
}

struct Passes {
  std::vector<at::Tensor> losses;     // of each micro-batch
  std::vector<at::Tensor> gradients;  // of each parameter, summed over the micro-batches
  at::Tensor logits;                  // without gradients
};

Passes passes(const ModelConfig& config, at::ScalarType compute, bool recompute) {
  Transformer model(config, 7, at::kCPU);
  model.set_recompute(recompute);
  at::manual_seed(3);
  Passes out;
  for (int micro_batch = 0; micro_batch < 2; ++micro_batch) {
    const at::Tensor windows = at::randint(config.vocab_size, {3, 12}, at::kLong);
    out.losses.push_back(model.loss(windows, compute));
    torch::autograd::backward({out.losses.back()}, {});
  }
  for (const Parameter& p : model.parameters()) {
    EXPECT_TRUE(p.value.grad().defined()) << p.name;
    out.gradients.push_back(p.value.grad().clone());
  }
  const at::NoGradGuard evaluating;
  out.logits = model.logits(at::arange(11).reshape({1, 11}), compute);
  return out;
}

struct Family {
  const char* name;
  LinearKind linear;
  NormPlacement norm;
  Activation activation;
  int64_t kv_heads;
};
const Family kFamilies[] = {
    {"llama", LinearKind::kDense, NormPlacement::kPre, Activation::kSilu, 1},
    {"b1.58", LinearKind::kB158, NormPlacement::kSub, Activation::kRelu2, 2},
    {"b1.58, llama's blocks", LinearKind::kB158, NormPlacement::kPre, Activation::kSilu, 2},
    {"b1, llama's blocks", LinearKind::kB1, NormPlacement::kPre, Activation::kSilu, 2},
    {"b1", LinearKind::kB1, NormPlacement::kInsidePlain, Activation::kSilu, 2},
    {"b1.58, norms inside", LinearKind::kB158, NormPlacement::kInside, Activation::kSilu, 1}};

TEST(Recompute, EveryFamilyGivesTheSameBits) {
  for (const Family& family : kFamilies) {
    ModelConfig config;
    config.vocab_size = 31;
    config.hidden_size = 20;
    config.intermediate_size = 27;
    config.num_hidden_layers = 3;
    config.num_attention_heads = 2;
    config.num_key_value_heads = family.kv_heads;
    config.head_dim = 10;
    config.max_position_embeddings = 11;
    config.linear = family.linear;
    config.norm = family.norm;
    config.hidden_act = family.activation;
    config.tie_word_embeddings = true;
    for (const at::ScalarType compute : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(std::string(family.name) + (compute == at::kFloat ? " f32" : " bf16"));
      const Passes kept = passes(config, compute, false);
      const Passes again = passes(config, compute, true);
      for (size_t i = 0; i < kept.losses.size(); ++i) {
        EXPECT_TRUE(same_bits(again.losses[i], kept.losses[i])) << "loss " << i;
      }
      for (size_t i = 0; i < kept.gradients.size(); ++i) {
        EXPECT_TRUE(same_bits(again.gradients[i], kept.gradients[i])) << "gradient " << i;
      }
      EXPECT_TRUE(same_bits(again.logits, kept.logits));
    }
  }
}

// A factor that counts how many of it exist.
at::Tensor counted(int& alive) {
  ++alive;
  return at::from_blob(new float(3), {1}, [&alive](void* memory) {
    delete static_cast<float*>(memory);
    --alive;
  });
}

TEST(Recompute, OnlyTheInputIsKept) {
  int alive = 0, calls = 0;
  const at::Tensor weight = at::full({1}, 5.0f).set_requires_grad(true);
  const at::Tensor unused = at::ones({1}).set_requires_grad(true);
  const at::Tensor x = at::arange(4, at::kFloat).set_requires_grad(true);
  const Segment segment = [&](const at::Tensor& in) {
    ++calls;
    // Both products keep the factor for their gradients.
    return in * counted(alive) * weight * counted(alive);
  };
  const at::Tensor kept = segment(x);
  EXPECT_EQ(alive, 2);
  const at::Tensor y = recomputed(segment, x, {weight, unused});
  EXPECT_EQ(alive, 2) << "nothing of the second";
  EXPECT_TRUE(same_bits(y.detach(), kept.detach()));
  EXPECT_EQ(calls, 2);
  torch::autograd::backward({y.sum()}, {});
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(alive, 2);
  EXPECT_TRUE(same_bits(x.grad(), at::full({4}, 45.0f)));
  EXPECT_TRUE(same_bits(weight.grad(), at::full({1}, 54.0f)));
  EXPECT_FALSE(unused.grad().defined());
}

// As where the embedding is frozen.
TEST(Recompute, AnInputWithoutAGradient) {
  const at::Tensor weight = at::full({1}, 5.0f).set_requires_grad(true);
  const at::Tensor x = at::arange(4, at::kFloat);
  const at::Tensor y = recomputed([&](const at::Tensor& in) { return in * weight; }, x, {weight});
  torch::autograd::backward({y.sum()}, {});
  EXPECT_TRUE(same_bits(weight.grad(), at::full({1}, 6.0f)));
  EXPECT_FALSE(x.grad().defined());
}

}  // namespace
}  // namespace tercet::learn
