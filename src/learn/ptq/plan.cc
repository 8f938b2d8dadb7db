// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/plan.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "learn/ptq/activation_store.h"
#include "learn/ptq/block_shapes.h"
#include "learn/ptq/calibration.h"
#include "learn/ptq/training_budget.h"
#include "learn/ptq/window_share.h"

namespace tercet::learn {
namespace {

// What OpenBLAS and malloc keep for themselves.
constexpr uint64_t kLibraryBuffers = uint64_t{64} << 20;

int64_t tokens_in(const std::vector<int64_t>& rows) {
  return std::accumulate(rows.begin(), rows.end(), int64_t{0});
}

// The windows of the rank that has most tokens.
std::vector<int64_t> largest_share(const std::vector<int64_t>& rows, int ranks) {
  std::vector<int64_t> most;
  WindowShare share;
  share.ranks = ranks;
  for (share.rank = 0; share.rank < ranks; ++share.rank) {
    std::vector<int64_t> mine = share.of(rows);
    if (tokens_in(mine) > tokens_in(most)) most = std::move(mine);
  }
  return most;
}

uint64_t chosen_weights(const ModelConfig& config, const PtqOptions& options) {
  double weights = 0;
  for (const MapShape& shape : block_shapes(config, options)) {
    weights += shape.chosen * shape.weights();
  }
  return static_cast<uint64_t>(weights * static_cast<double>(config.num_hidden_layers) + 0.5);
}

// Quantized maps in f16; the rest as the source has it, which is f32 at most.
uint64_t directory_bytes(const ModelConfig& config, const PtqOptions& options) {
  const uint64_t maps = chosen_weights(config, options);
  return 2 * maps + 4 * (static_cast<uint64_t>(config.parameter_count()) - maps);
}

// Of the packed file, with embedding and head in f16.
uint64_t file_bytes(const ModelConfig& config, const PtqOptions& options) {
  const uint64_t maps = chosen_weights(config, options);
  return maps / 4 + 2 * (static_cast<uint64_t>(config.parameter_count()) - maps);
}

// Blocks that are trained again later, beside the directory, with what training goes on from.
uint64_t waiting_bytes(const ModelConfig& config, const PtqOptions& options) {
  if (!options.changes_blocks_later()) return 0;
  const uint64_t maps = chosen_weights(config, options);
  const uint64_t others = static_cast<uint64_t>(config.linear_parameter_count()) - maps;
  const uint64_t latents = options.block_training.sweeps > 0 ? sizeof(float) * maps : 0;
  // Where the last pass is: each scale with its moments, twice while a file replaces another.
  const auto columns = static_cast<uint64_t>(options.layer.grouping.columns(config.hidden_size));
  const uint64_t tuning = options.end_to_end.steps > 0 ? 6 * sizeof(float) * maps / columns : 0;
  return 2 * maps + 4 * others + latents + tuning;
}

// The calibration windows on their way through the model.
uint64_t activation_bytes(const ModelConfig& config, const PtqOptions& options,
                          const std::vector<int64_t>& rows) {
  if (rows.empty()) return 0;
  const bool trains = options.block_training.steps > 0;
  const bool both = needs_both_sides(options);
  // Blocks that are trained go from stream to stream; maps that are solved one by one have what
  // lies between kept as well. The source's last stream waits for predictions and, through later
  // sweeps, for the last pass.
  const int64_t inner =
      trains ? 0 : config.num_attention_heads * config.head_dim + config.intermediate_size;
  const bool waits = options.uses_predictions() ||
                     (options.block_training.sweeps > 0 && options.end_to_end.steps > 0);
  const uint64_t sides = (both ? 2 : 1) + (waits ? 1 : 0);
  return sides * ActivationStore::bytes(rows, config.hidden_size + inner);
}

void plan_memory(const ModelConfig& config, const PtqOptions& options,
                 const std::vector<int64_t>& rows, PtqPlan& plan) {
  plan.activation_bytes =
      activation_bytes(config, options, largest_share(rows, plan.hardware.ranks));
  const int64_t longest = rows.empty() ? 0 : *std::max_element(rows.begin(), rows.end());
  const BlockMemory block = block_memory(config, options, longest);
  plan.block_bytes = block.bytes;
  plan.widest_work = block.where;
  plan.program_bytes = resident_bytes() + kLibraryBuffers;
  const bool whole = options.end_to_end.steps > 0 || options.uses_predictions();
  const uint64_t whole_bytes = whole ? whole_model_bytes(config, options, longest) : 0;
  // Towards predictions a block is trained while the whole model waits.
  const uint64_t widest = options.uses_predictions() ? plan.block_bytes + whole_bytes
                                                     : std::max(plan.block_bytes, whole_bytes);
  plan.spills = plan.activation_bytes + widest > options.max_memory;
  plan.peak_memory = plan.program_bytes + widest + (plan.spills ? 0 : plan.activation_bytes);
  if (whole && widest > options.max_memory) {
    fail(ErrorCode::kUsage,
         "the last pass and --block-loss predictions need the whole model in memory, {} MiB a "
         "rank, --max-memory leaves {} MiB; give more, or fewer ranks, or --block-loss output "
         "--tune-steps 0",
         widest >> 20, options.max_memory >> 20);
  }
  if (plan.block_bytes > options.max_memory) {
    fail(ErrorCode::kUsage,
         "one block of this model needs {} MiB of memory ({}), --max-memory leaves {} MiB; give "
         "more, {}a shorter --ctx, or leave wide maps out with --only",
         plan.block_bytes >> 20, block.where, options.max_memory >> 20,
         options.block_training.steps > 0 ? "--block-steps 0, "
         : options.layer.cross_term != 0  ? "--no-training --cross-term 0, "
                                          : "");
  }
}

}  // namespace

PtqPlan plan_quantization(const ModelConfig& config, const PtqOptions& options,
                          const std::vector<int64_t>& rows, const PlanHardware& hardware) {
  PtqPlan plan;
  plan.hardware = settled(
      hardware, options.products_in_bf16() || (options.uses_bf16 && options.end_to_end.steps > 0));
  plan.blocks = config.num_hidden_layers * (1 + std::max(options.block_training.sweeps, 0));
  plan.windows = std::ssize(rows);
  plan.tokens = tokens_in(rows);
  plan_memory(config, options, rows, plan);
  plan.output_bytes =
      directory_bytes(config, options) + (options.rest.head ? file_bytes(config, options) : 0);
  plan.disk_bytes = plan.output_bytes + waiting_bytes(config, options) +
                    (plan.spills ? plan.activation_bytes : 0);
  plan.stages = plan_stages(config, options, rows, plan.hardware);
  for (const PlanStage& stage : plan.stages) {
    plan.flops += stage.flops;
    plan.network_bytes += static_cast<uint64_t>(stage.network_bytes);
    plan.seconds += stage.seconds;
  }
  plan.training = options.block_training;
  plan.tuning = options.end_to_end;
  return plan;
}

Json to_json(const PtqPlan& plan) {
  Json stages = Json::object();
  for (const PlanStage& stage : plan.stages) stages[stage.name] = stage.seconds;
  return {{"blocks", plan.blocks},
          {"windows", plan.windows},
          {"tokens", plan.tokens},
          {"ranks", plan.hardware.ranks},
          {"activation_bytes", plan.activation_bytes},
          {"spills_to_disk", plan.spills},
          {"block_bytes", plan.block_bytes},
          {"peak_memory_bytes", plan.peak_memory},
          {"output_bytes", plan.output_bytes},
          {"disk_bytes", plan.disk_bytes},
          {"flops", plan.flops},
          {"gflops", plan.hardware.gflops},
          {"hardware", to_json(plan.hardware)},
          {"network_bytes", plan.network_bytes},
          {"stage_seconds", std::move(stages)},
          {"widest_work", plan.widest_work},
          {"tokens_are_assumed", plan.assumed_tokens},
          {"without_weights", plan.assumed_weights},
          {"seconds", plan.seconds},
          {"training",
           {{"block_steps", plan.training.steps},
            {"block_tokens", plan.training.tokens_per_step},
            {"block_loss", to_string(plan.training.loss)},
            {"sweeps", plan.training.sweeps},
            {"tune_steps", plan.tuning.steps},
            {"tune_tokens", plan.tuning.tokens_per_step}}}};
}

}  // namespace tercet::learn
