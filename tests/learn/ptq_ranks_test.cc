// SPDX-License-Identifier: Apache-2.0
// Ranks that quantize together do what one does.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <mutex>

#include "learn/dist/rank_support.h"
#include "learn/ptq/block_training.h"
#include "learn/ptq/end_to_end.h"
#include "learn/ptq/head.h"
#include "learn/ptq/prediction_loss.h"
#include "learn/ptq/ranks.h"
#include "learn/ptq/threshold.h"
#include "learn/ptq_support.h"

namespace tercet::learn {
namespace {

using testing::as_ranks;

// What every rank of a run came to.
template <typename T>
class Collected {
 public:
  explicit Collected(int64_t ranks) : all_(static_cast<size_t>(ranks)) {}
  void put(int64_t rank, T value) { all_[static_cast<size_t>(rank)] = std::move(value); }
  const T& of(int64_t rank) const { return all_[static_cast<size_t>(rank)]; }
  const std::vector<T>& all() const { return all_; }

 private:
  std::vector<T> all_;
};

double share_of_equal(const at::Tensor& a, const at::Tensor& b) {
  return a.eq(b).to(at::kDouble).mean().item<double>();
}

TEST(TakersOf, KeepsWindowsWhereTheyLieUntilOneRankHasMore) {
  const std::vector<int64_t> same(8, 512);
  using Takers = std::vector<int64_t>;
  EXPECT_EQ(takers_of(same, {0, 1, 2, 3}, 2), (Takers{0, 1, 0, 1}));
  EXPECT_EQ(takers_of(same, {0, 2, 1, 3}, 2), (Takers{0, 0, 1, 1}));
  EXPECT_EQ(takers_of(same, {0, 2, 4, 3}, 2), (Takers{0, 0, 1, 1}));
  EXPECT_EQ(takers_of(same, {1, 1, 1, 1}, 2), (Takers{1, 1, 0, 0}));
  EXPECT_EQ(takers_of(same, {0, 2, 4}, 2), (Takers{0, 1, 0}));
  EXPECT_EQ(takers_of(same, {5}, 4), (Takers{1}));
  EXPECT_EQ(takers_of(same, {0, 1}, 1), (Takers{0, 0}));
  EXPECT_EQ(takers_of({400, 100, 100, 100, 100}, {0, 1, 2, 3, 4}, 2), (Takers{0, 1, 1, 1, 1}));
}

TEST(WindowShare, DealsInTurn) {
  WindowShare share;
  share.rank = 1;
  share.ranks = 3;
  EXPECT_EQ(share.of(std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}), (std::vector<int>{1, 4, 7}));
  EXPECT_EQ(share.of(std::vector<int>{0}), std::vector<int>());
  EXPECT_TRUE(share.has(4));
  EXPECT_FALSE(share.has(5));
}

TEST(SumMoments, AddsWhatOnlySomeRanksHave) {
  const at::Tensor x = random_matrix(40, 7, 1);
  const at::Tensor y = random_matrix(40, 7, 2);
  const at::Tensor r = random_matrix(40, 5, 3);
  Moments all;
  for (int64_t first : {0, 20}) {
    all.add(x.narrow(0, first, 20), y.narrow(0, first, 20), r.narrow(0, first, 20),
            0.5 * r.narrow(0, first, 20));
  }
  Collected<Moments> sums(3);
  Collected<Moments> nothing(3);
  as_ranks(3, [&](ProcessGroup& group) {
    Moments moments;
    if (group.rank() < 2) {
      const int64_t first = 20 * group.rank();
      moments.add(x.narrow(0, first, 20), y.narrow(0, first, 20), r.narrow(0, first, 20),
                  0.5 * r.narrow(0, first, 20));
    }
    sum_moments(Team(&group), moments);
    sums.put(group.rank(), moments);
    Moments none;
    sum_moments(Team(&group), none);
    nothing.put(group.rank(), none);
  });
  for (const Moments& sum : sums.all()) {
    EXPECT_EQ(sum.tokens, 40);
    EXPECT_TRUE(sum.qq.equal(all.qq));
    EXPECT_TRUE(sum.fq.equal(all.fq));
    EXPECT_TRUE(sum.residual.equal(all.residual));
  }
  for (const Moments& none : nothing.all()) EXPECT_FALSE(none.qq.defined());
}

Moments moments_of(const at::Tensor& x, const at::Tensor& r) {
  Moments out;
  out.add(x, x + 0.1 * at::tanh(x), 0.2 * r, 0.1 * r);
  return out;
}

TEST(QuantizeLayerShared, RowsOfSeveralRanksAreThoseOfOne) {
  const at::Tensor weight = random_matrix(37, 48, 4);
  const at::Tensor mixing = random_matrix(48, 48, 5) / 7 + at::eye(48);
  const Moments fit =
      moments_of(at::matmul(random_matrix(400, 48, 6), mixing), random_matrix(400, 37, 7));
  const Moments held_out =
      moments_of(at::matmul(random_matrix(100, 48, 8), mixing), random_matrix(100, 37, 9));
  std::vector<LayerOptions> choices;
  for (const PtqMethod method : {PtqMethod::kPtBitnet, PtqMethod::kGptq, PtqMethod::kPt2Llm}) {
    choices.push_back(default_layer_options(method));
    choices.push_back(choices.back());
    choices.back().grouping = {packing::ScaleScope::kGroup, 20};
  }
  choices[0].shrinkage = -1;
  choices.push_back(default_layer_options(PtqMethod::kPtBitnet));
  choices.back().grouping.scope = packing::ScaleScope::kTensor;
  for (const LayerOptions& options : choices) {
    const LayerResult one = quantize_layer(weight, fit, held_out, options, "w");
    Collected<LayerResult> three(3);
    as_ranks(3, [&](ProcessGroup& group) {
      three.put(group.rank(),
                quantize_layer_shared(Team(&group), weight, fit, held_out, options, "w"));
    });
    for (const LayerResult& result : three.all()) {
      EXPECT_TRUE(result.matrix.values().equal(three.of(0).matrix.values()));
      // A sum in another order may tip a code.
      EXPECT_GE(share_of_equal(result.matrix.codes, one.matrix.codes), 0.998);
      EXPECT_EQ(result.shrinkage, one.shrinkage);
      ASSERT_EQ(result.stages.size(), one.stages.size());
      for (size_t i = 0; i < one.stages.size(); ++i) {
        EXPECT_NEAR(result.stages[i].error, one.stages[i].error, 1e-3 * one.stages[i].error);
      }
    }
  }
}

constexpr int64_t kTokens = 24;
constexpr size_t kWindows = 7;

// A block of the golden model, ternary at first, and windows that its training sees.
class Trial {
 public:
  Trial() : model_(TERCET_SOURCE_DIR "/tests/golden/models/llama") {
    angles_ = rotary_angles(model_.config(), kTokens);
    original_ = load_block(model_, 0);
    const Block in_full(model_.config(), 0, original_, angles_, {});
    for (size_t i = 0; i < kWindows; ++i) {
      inputs_.push_back(random_matrix(kTokens, model_.config().hidden_size, 20 + i));
      targets_.push_back(in_full.whole(inputs_.back()));
    }
  }

  struct Outcome {
    BlockTrainingReport report;
    BlockWeights weights;
    LatentWeights latents;
    std::map<std::string, LowBitMatrix> maps;
  };

  Outcome run(Team team, int steps) const {
    const std::vector<int64_t> rows(kWindows, kTokens);
    std::array<ActivationStore, 2> stores = {
        ActivationStore(rows, model_.config().hidden_size, {}, WindowShare(team)),
        ActivationStore(rows, model_.config().hidden_size, {}, WindowShare(team))};
    for (size_t i = 0; i < kWindows; ++i) {
      if (!stores[0].holds(i)) continue;
      stores[0].put(i, inputs_[i]);
      stores[1].put(i, targets_[i]);
    }
    BlockTrainingTask task;
    task.config = &model_.config();
    task.angles = &angles_;
    task.rows = rows;
    task.input = [&](size_t i) { return stores[0].get(i); };
    task.loss = [&](size_t i, const at::Tensor& r) {
      return (r - stores[1].get(i)).square().sum();
    };
    task.size = [&](size_t i) { return stores[1].get(i).square().sum().item<double>(); };
    task.team = team;
    task.take = [&](const std::vector<size_t>& drawn) {
      return take_windows(team, rows, drawn, {&stores[0], &stores[1]});
    };
    BlockTrainingOptions options;
    options.steps = steps;
    options.tokens_per_step = 5 * kTokens;
    Outcome out;
    out.weights = original_;
    for (const std::string& map : linear_maps()) {
      out.maps[map] = twn(original_.at(map + ".weight"), {packing::ScaleScope::kRow, 0});
    }
    out.report = train_block(task, options, out.weights, out.maps, out.latents);
    return out;
  }

 private:
  HfModel model_;
  RotaryAngles angles_;
  BlockWeights original_;
  std::vector<at::Tensor> inputs_, targets_;
};

TEST(TrainBlock, RanksThatShareAStepTakeTheStepsOfOne) {
  const Trial trial;
  const Trial::Outcome one = trial.run({}, 40);
  for (const int64_t ranks : {2, 3}) {
    Collected<Trial::Outcome> several(ranks);
    as_ranks(ranks,
             [&](ProcessGroup& group) { several.put(group.rank(), trial.run(Team(&group), 40)); });
    for (const Trial::Outcome& outcome : several.all()) {
      // The first four steps, when codes are soft, and the last four.
      EXPECT_NEAR(outcome.report.first_loss, one.report.first_loss, 1e-5 * one.report.first_loss);
      EXPECT_NEAR(outcome.report.last_loss, one.report.last_loss, 1e-2 * one.report.last_loss);
      for (const auto& [name, tensor] : outcome.weights.tensors) {
        EXPECT_TRUE(tensor.equal(several.of(0).weights.at(name))) << name;
        EXPECT_FALSE(tensor.requires_grad());
      }
      for (const auto& [map, matrix] : outcome.maps) {
        EXPECT_TRUE(outcome.latents.at(map).equal(several.of(0).latents.at(map)));
        EXPECT_TRUE(matrix.values().equal(outcome.weights.at(map + ".weight")));
        EXPECT_GE(share_of_equal(matrix.codes, one.maps.at(map).codes), 0.98) << map;
      }
    }
  }
}

TEST(EndToEnd, RanksThatShareAStepTakeTheStepsOfOne) {
  const HfModel model(TERCET_SOURCE_DIR "/tests/golden/models/llama");
  const ModelConfig& config = model.config();
  std::vector<std::vector<int32_t>> windows(5);
  for (size_t i = 0; i < windows.size(); ++i) {
    for (int32_t k = 0; k < 16 + static_cast<int32_t>(i); ++k) {
      windows[i].push_back((k * 7 + static_cast<int32_t>(i) * 13) %
                           static_cast<int32_t>(config.vocab_size));
    }
  }
  const Grouping grouping{packing::ScaleScope::kRow, 0};
  std::vector<BlockWeights> start;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    start.push_back(load_block(model, layer));
    for (const std::string& map : linear_maps()) {
      at::Tensor& weight = start.back().tensors[map + ".weight"];
      weight = twn(weight, grouping).values();
    }
  }
  const RotaryAngles angles = rotary_angles(config, 24);
  const auto losses_of = [&](Team team) {
    ActivationStore streams =
        source_streams(model, angles, windows, {}, nullptr, WindowShare(team));
    std::vector<double> losses;
    EndToEndTask task;
    task.source = &model;
    task.grouping = grouping;
    task.chosen = [](const std::string&) { return true; };
    task.windows = &windows;
    task.streams = &streams;
    task.team = team;
    task.progress = [&](int64_t, int64_t, double loss) { losses.push_back(loss); };
    EndToEndOptions options;
    options.steps = 12;
    options.tokens_per_step = 60;
    std::vector<BlockWeights> blocks = start;
    at::Tensor norm = ModelHead(model).norm();
    train_end_to_end(task, options, blocks, norm);
    return losses;
  };
  const std::vector<double> one = losses_of({});
  Collected<std::vector<double>> two(2);
  as_ranks(2, [&](ProcessGroup& group) { two.put(group.rank(), losses_of(Team(&group))); });
  for (const std::vector<double>& losses : two.all()) {
    ASSERT_EQ(losses.size(), one.size());
    for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(losses[i], one[i], 1e-4 * one[i]) << i;
  }
}

}  // namespace
}  // namespace tercet::learn
