// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <tuple>

#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "learn/ptq/plan.h"
#include "learn/ptq/run_checks.h"
#include "temporary_directory.h"

namespace tercet::learn {
namespace {

ModelConfig config_of(int64_t hidden, int64_t inner, int64_t layers) {
  ModelConfig config;
  config.hidden_size = hidden;
  config.intermediate_size = inner;
  config.num_hidden_layers = layers;
  config.num_attention_heads = hidden / 64;
  config.num_key_value_heads = hidden / 128;
  config.head_dim = 64;
  config.vocab_size = 512;
  config.max_position_embeddings = 2048;
  return config;
}

PtqOptions options_of() {
  PtqOptions options;
  options.layer = default_layer_options(PtqMethod::kPtBitnet);
  options.max_memory = uint64_t{1} << 40;
  return options;
}

const PlanHardware kHardware{.gflops = 100,
                             .bf16_gflops = 400,
                             .memory_gbps = 10,
                             .disk_gbps = 1,
                             .network_gbps = 2,
                             .ranks = 1};

const PlanStage& stage(const PtqPlan& plan, const std::string& name) {
  return *std::find_if(plan.stages.begin(), plan.stages.end(),
                       [&](const PlanStage& s) { return s.name == name; });
}

TEST(PtqPlan, LayersTakeTimeAndDiskButNoMemory) {
  const std::vector<int64_t> rows(16, 512);
  const PtqPlan few = plan_quantization(config_of(512, 1408, 4), options_of(), rows, kHardware);
  const PtqPlan many = plan_quantization(config_of(512, 1408, 64), options_of(), rows, kHardware);
  EXPECT_EQ(few.block_bytes, many.block_bytes);
  EXPECT_EQ(few.activation_bytes, many.activation_bytes);
  EXPECT_NEAR(many.seconds / few.seconds, 16, 1e-9);
  EXPECT_GT(many.output_bytes, 10 * few.output_bytes);
  EXPECT_EQ(few.network_bytes, 0u);
}

TEST(PtqPlan, RanksShareWindowsAndSendTheirMoments) {
  const ModelConfig config = config_of(256, 512, 3);
  const std::vector<int64_t> rows(16, 512);
  PlanHardware four = kHardware;
  four.ranks = 4;
  const PtqPlan alone = plan_quantization(config, options_of(), rows, kHardware);
  const PtqPlan shared = plan_quantization(config, options_of(), rows, four);
  EXPECT_NEAR(stage(alone, "forward").flops / stage(shared, "forward").flops, 4, 1e-9);
  EXPECT_NEAR(stage(alone, "moments").flops / stage(shared, "moments").flops, 4, 1e-9);
  EXPECT_EQ(alone.activation_bytes, 4 * shared.activation_bytes);
  // Every rank inverts for itself.
  EXPECT_GT(stage(shared, "solver").flops, stage(alone, "solver").flops / 4);
  // In doubles, q q' and f q' of four inputs, and what o and down write; each element is sent
  // 2 (ranks - 1) / ranks times.
  const double elements = 2 * (3 * 256.0 * 256 + 512.0 * 512) + 256.0 * 256 + 256.0 * 512;
  EXPECT_DOUBLE_EQ(stage(shared, "moments").network_bytes, 3 * 8 * elements * 1.5);
}

TEST(PtqPlan, TrainingTakesItsProductsInBf16) {
  const std::vector<int64_t> rows(16, 512);
  PtqOptions options = options_of();
  options.block_training.steps = 100;
  options.block_training.loss = BlockLoss::kOutput;
  options.block_training.sweeps = 0;
  options.block_training.tokens_per_step = 1024;
  PtqOptions exact = options;
  exact.uses_bf16 = false;
  const ModelConfig config = config_of(256, 512, 3);
  const PtqPlan fast = plan_quantization(config, options, rows, kHardware);
  const PtqPlan slow = plan_quantization(config, exact, rows, kHardware);
  for (const char* name : {"forward", "moments", "training"}) {
    const PlanStage& in_bf16 = stage(fast, name);
    const PlanStage& in_f32 = stage(slow, name);
    EXPECT_GT(in_bf16.flops, 0) << name;
    EXPECT_EQ(in_bf16.flops, in_bf16.bf16_flops) << name;
    EXPECT_EQ(in_f32.bf16_flops, 0) << name;
    EXPECT_NEAR(in_f32.seconds - in_bf16.seconds, in_f32.flops * 1e-9 * (1 / 100.0 - 1 / 400.0),
                1e-9)
        << name;
  }
  EXPECT_EQ(stage(fast, "solver").bf16_flops, 0);
}

TEST(PtqPlan, WhatDoesNotFitIsNamed) {
  ModelConfig config = config_of(8192, 28672, 80);
  config.head_dim = 128;
  config.num_attention_heads = 64;
  config.num_key_value_heads = 8;
  const std::vector<int64_t> rows(128, 512);
  PtqOptions options = options_of();
  options.max_memory = uint64_t{23} << 30;
  const PtqPlan plan = plan_quantization(config, options, rows, kHardware);
  EXPECT_TRUE(plan.spills);
  EXPECT_LT(plan.peak_memory, options.max_memory);
  options.max_memory = uint64_t{12} << 30;
  try {
    plan_quantization(config, options, rows, kHardware);
    ADD_FAILURE() << "28,672 channels do not fit in 12 GiB";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("mlp.down_proj"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("--cross-term 0"), std::string::npos);
  }
}

// Tensors are read and released one by one; what the system mapped around them must go with them,
// or memory would grow with every layer.
TEST(PtqPlan, ReleasedWeightsLeaveNothingInMemory) {
  constexpr size_t kBytes = size_t{32} << 20;
  constexpr size_t kTensor = (size_t{200} << 10) + 1000;  // begins and ends within pages
  const tercet::testing::TemporaryDirectory directory;
  const std::filesystem::path path = directory / "weights";
  write_text_file(path, std::string(kBytes, 'w'));
  const MappedFile file(path);
  const uint64_t before = resident_bytes();
  uint64_t most = 0;
  unsigned sum = 0;
  for (size_t first = 0; first + kTensor <= kBytes; first += kTensor) {
    const auto tensor = file.bytes().subspan(first, kTensor);
    for (size_t i = 0; i < kTensor; i += 512) sum += tensor[i];
    file.release(tensor);
    most = std::max(most, resident_bytes());
  }
  EXPECT_GT(sum, 0u);
  EXPECT_LT(most, before + (uint64_t{2} << 20));
}

TEST(PtqPlan, MapsThatStayNeedNothing) {
  const ModelConfig config = config_of(1024, 8192, 4);
  const std::vector<int64_t> rows(16, 512);
  PtqOptions options = options_of();
  const PtqPlan whole = plan_quantization(config, options, rows, kHardware);
  EXPECT_NE(whole.widest_work.find("mlp.down_proj"), std::string::npos) << whole.widest_work;
  options.only = "q_proj";
  const PtqPlan narrow = plan_quantization(config, options, rows, kHardware);
  EXPECT_LT(narrow.block_bytes, whole.block_bytes / 2);
  EXPECT_LT(stage(narrow, "solver").flops, stage(whole, "solver").flops / 50);
  EXPECT_LT(stage(narrow, "moments").flops, stage(whole, "moments").flops / 10);
  // What stays stays as wide as it was.
  EXPECT_GT(narrow.output_bytes, whole.output_bytes);
  options.max_memory = narrow.block_bytes;
  EXPECT_NO_THROW(plan_quantization(config, options, rows, kHardware));
  options.max_memory = uint64_t{1} << 40;
  options.only = "layers.2.mlp";
  const PtqPlan one_layer = plan_quantization(config, options, rows, kHardware);
  options.only = "mlp";
  const PtqPlan all_layers = plan_quantization(config, options, rows, kHardware);
  EXPECT_DOUBLE_EQ(4 * stage(one_layer, "solver").flops, stage(all_layers, "solver").flops);
}

TEST(PtqPlan, WhatChangesBlocksLaterReadsPassesAndWritesThemAgain) {
  const std::vector<int64_t> rows(256, 512);  // four times what training starts from
  PtqOptions options = options_of();
  options.block_training.steps = 10;
  options.block_training.loss = BlockLoss::kOutput;
  options.block_training.sweeps = 0;
  options.block_training.tokens_per_step = 512;
  const ModelConfig config = config_of(256, 512, 3);
  const PtqPlan once = plan_quantization(config, options, rows, kHardware);
  options.end_to_end.steps = 10;
  options.end_to_end.tokens_per_step = 512;
  const PtqPlan tuned = plan_quantization(config, options, rows, kHardware);
  options.block_training.sweeps = 2;
  const PtqPlan swept = plan_quantization(config, options, rows, kHardware);
  for (const auto& [name, with_tuning, with_sweeps] :
       {std::tuple("read", 2.0, 4.0), std::tuple("write", 2.0, 4.0),
        std::tuple("forward", 1.125, 3.125), std::tuple("moments", 2.0, 2.0)}) {
    const double flops_or_bytes = stage(once, name).flops + stage(once, name).memory_bytes;
    const auto ratio = [&](const PtqPlan& plan) {
      return (stage(plan, name).flops + stage(plan, name).memory_bytes) / flops_or_bytes;
    };
    EXPECT_NEAR(ratio(tuned), with_tuning, 1e-6) << name;
    EXPECT_NEAR(ratio(swept), with_sweeps, 1e-6) << name;
  }
  // The errors at the end: of each map, two products with the moments of its input.
  const double maps = 256.0 * 256 * (256 + 2 * 128 + 256 + 2 * 512) + 512.0 * 512 * 256;
  EXPECT_DOUBLE_EQ(stage(tuned, "solver").flops - stage(once, "solver").flops, 3 * 2 * 2 * maps);
  EXPECT_EQ(stage(swept, "solver").flops, stage(tuned, "solver").flops);
  EXPECT_GT(tuned.disk_bytes, once.disk_bytes);
  options.layer.equalization = 0.5;
  const PtqPlan equalized = plan_quantization(config, options, rows, kHardware);
  EXPECT_NEAR(stage(equalized, "forward").flops / stage(swept, "forward").flops,
              (3 * 3 + 3) / (2 * 3.125), 1e-6);
}

TEST(PtqPlan, RanksHoldWhatIsDealtToThem) {
  std::vector<int64_t> rows;
  for (int i = 0; i < 64; ++i) rows.push_back(i % 2 == 0 ? 512 : 100);
  PlanHardware two = kHardware;
  two.ranks = 2;
  const ModelConfig config = config_of(256, 512, 3);
  const PtqPlan dealt = plan_quantization(config, options_of(), rows, two);
  const PtqPlan long_ones =
      plan_quantization(config, options_of(), std::vector<int64_t>(32, 512), kHardware);
  EXPECT_EQ(dealt.activation_bytes, long_ones.activation_bytes);
}

std::optional<ErrorCode> code_of_room(const PtqPlan& plan, int64_t ranks = 1) {
  try {
    check_room(plan, std::filesystem::temp_directory_path() / "not-there-yet", false, ranks);
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

TEST(CheckRoom, RefusesWhatDiskOrMemoryCannotHold) {
  PtqPlan plan;
  plan.disk_bytes = 1 << 20;
  plan.peak_memory = 64 << 20;
  plan.program_bytes = 32 << 20;
  EXPECT_EQ(code_of_room(plan), std::nullopt);
  PtqPlan large = plan;
  large.disk_bytes = uint64_t{1} << 60;
  EXPECT_EQ(code_of_room(large), ErrorCode::kIo);
  large = plan;
  large.peak_memory = uint64_t{1} << 50;
  EXPECT_EQ(code_of_room(large), ErrorCode::kUsage);
  // Every rank of a machine has its own activations on the disk, and its own memory.
  large = plan;
  large.activation_bytes = uint64_t{1} << 59;
  EXPECT_EQ(code_of_room(large, 3), std::nullopt);
  large.spills = true;
  EXPECT_EQ(code_of_room(large), std::nullopt);
  EXPECT_EQ(code_of_room(large, 3), ErrorCode::kIo);
  large = plan;
  // What is available changes with what else runs.
  large.peak_memory = available_memory_bytes() / 4;
  EXPECT_EQ(code_of_room(large), std::nullopt);
  EXPECT_EQ(code_of_room(large, 16), ErrorCode::kUsage);
}

}  // namespace
}  // namespace tercet::learn
