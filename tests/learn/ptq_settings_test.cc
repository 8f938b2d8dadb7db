// SPDX-License-Identifier: Apache-2.0
// What a run chooses by itself: steps, text, windows.
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <vector>

#include "formats/hf_model.h"
#include "learn/ptq/training_budget.h"
#include "learn/ptq/window_order.h"

namespace tercet::learn {
namespace {

TEST(SettleTraining, FollowsFromSizeAndMemory) {
  const HfModel model(TERCET_SOURCE_DIR "/tests/golden/models/llama");
  const std::vector<int64_t> rows(128, 512);
  PtqOptions open;
  open.block_training.steps = kAuto;
  open.end_to_end.steps = kAuto;
  open.max_memory = uint64_t{1} << 40;
  PtqOptions small = open;
  settle_training(model.config(), rows, small);
  EXPECT_EQ(small.block_training.loss, BlockLoss::kPredictions);
  EXPECT_EQ(small.block_training.sweeps, 1);
  EXPECT_EQ(small.block_training.tokens_per_step, 2048);
  EXPECT_GT(small.end_to_end.steps, 0);

  ModelConfig config = model.config();  // SmolLM2-135M's shape
  config.hidden_size = 576;
  config.intermediate_size = 1536;
  config.num_hidden_layers = 30;
  config.num_attention_heads = 9;
  config.num_key_value_heads = 3;
  config.head_dim = 64;
  config.vocab_size = 49152;
  PtqOptions larger = open;
  settle_training(config, rows, larger);
  EXPECT_EQ(larger.block_training.loss, BlockLoss::kOutput);
  EXPECT_EQ(larger.block_training.sweeps, 0);
  EXPECT_GE(larger.block_training.tokens_per_step, 512);
  EXPECT_LE(larger.block_training.tokens_per_step, 1024);  // two windows
  // An hour at 240 GFLOP/s.
  EXPECT_LT(training_flops(config, larger.block_training, rows) +
                tuning_flops(config, larger.end_to_end, rows),
            8.64e14);

  PtqOptions tight = open;
  tight.max_memory = whole_model_bytes(config, tight, 512) - 1;
  settle_training(config, rows, tight);
  EXPECT_EQ(tight.block_training.loss, BlockLoss::kOutput);
  EXPECT_EQ(tight.end_to_end.steps, 0);

  PtqOptions none;
  settle_training(config, rows, none);
  EXPECT_EQ(none.block_training.steps, 0);
  EXPECT_EQ(none.block_training.tokens_per_step, 0);
}

TEST(StartingShare, IsOfTheTextThatThereIs) {
  EXPECT_EQ(starting_share({512, 512}), 1);
  EXPECT_EQ(starting_share(std::vector<int64_t>(256, 512)), 0.25);
}

TEST(SettleText, TakesMoreWhereItTrains) {
  ModelConfig config = HfModel(TERCET_SOURCE_DIR "/tests/golden/models/llama").config();
  PtqOptions solved;
  settle_text(config, solved);
  EXPECT_EQ(solved.calibration_tokens, 65536);
  PtqOptions trained;
  trained.block_training.steps = kAuto;
  settle_text(config, trained);
  EXPECT_EQ(trained.calibration_tokens, 262144);
  trained.calibration_tokens = 0;
  settle_text(config, trained);
  EXPECT_EQ(trained.calibration_tokens, 0);
  config.hidden_size = 4096;
  config.intermediate_size = 11008;
  config.num_hidden_layers = 32;
  trained.calibration_tokens = kAuto;
  settle_text(config, trained);
  EXPECT_EQ(trained.calibration_tokens, 65536);
  PtqOptions baseline = trained;
  baseline.layer.method = PtqMethod::kGptq;
  baseline.calibration_tokens = kAuto;
  settle_text(config, baseline);
  EXPECT_EQ(baseline.calibration_tokens, 65536);
}

TEST(WindowOrder, TakesEveryWindowBeforeAnyComesAgain) {
  WindowOrder order({8, 3, 8, 8, 5}, 1);
  std::map<size_t, int> times;
  bool differs = false;
  std::vector<size_t> before;
  for (int round = 0; round < 20; ++round) {
    std::vector<size_t> taken;
    for (int i = 0; i < 5; ++i) taken.push_back(order.draw(1).at(0));
    for (const size_t window : taken) ++times[window];
    for (const auto& [window, count] : times) EXPECT_EQ(count, round + 1) << window;
    EXPECT_EQ(times.size(), 5u);
    differs = differs || (round > 0 && taken != before);
    before = taken;
  }
  EXPECT_TRUE(differs);
}

TEST(WindowOrder, DrawsAsManyAsTheTokensTake) {
  const std::vector<int64_t> rows = {8, 3, 8, 8, 5};
  WindowOrder order(rows, 2);
  WindowOrder same(rows, 2);
  for (int step = 0; step < 30; ++step) {
    const std::vector<size_t> drawn = order.draw(12);
    EXPECT_EQ(drawn, same.draw(12));
    int64_t tokens = 0;
    for (const size_t window : drawn) tokens += rows[window];
    EXPECT_GE(tokens, 12);
    EXPECT_LT(tokens - rows[drawn.back()], 12);
  }
}

TEST(IsInSample, SpreadsOverWindowsAndOverRanks) {
  EXPECT_TRUE(is_in_sample(0, 1e-6));
  for (const double share : {0.1, 0.25, 0.5, 1.0}) {
    for (const size_t ranks : {1, 2, 3, 8}) {
      for (size_t rank = 0; rank < ranks; ++rank) {
        double chosen = 0;
        for (size_t i = 0; i < 200; ++i) chosen += is_in_sample(rank + i * ranks, share) ? 1 : 0;
        EXPECT_NEAR(chosen / 200, share, 0.03) << share << " " << ranks << " " << rank;
      }
    }
  }
}

}  // namespace
}  // namespace tercet::learn
