// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/run_checks.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "core/cpu.h"
#include "core/disk.h"
#include "core/error.h"
#include "learn/pretrain/checkpoint_directory.h"

namespace tercet::learn {
namespace {

// The recipe in the log's first line; null when there is none.
Json logged_recipe(const std::filesystem::path& log) {
  std::ifstream file(log);
  std::string line;
  if (!std::getline(file, line)) return {};
  try {
    const Json start = parse_json(line, log.string());
    return start.is_object() && start.contains("recipe") ? start.at("recipe") : Json();
  } catch (const Error&) {
    return {};  // cut off by a crash of the machine
  }
}

// What a run may change when it is resumed.
bool may_differ(const std::string& field) { return field == "threads" || field == "data"; }

std::string readable(uint64_t bytes) {
  const bool large = bytes >= 1'000'000'000;
  return fmt::format("{:.1f} {}", static_cast<double>(bytes) / (large ? 1e9 : 1e6),
                     large ? "GB" : "MB");
}

// Weights and both moments in f32, and what the codes were, in two bits.
uint64_t checkpoint_bytes(int64_t parameters) {
  return 12 * static_cast<uint64_t>(parameters) + static_cast<uint64_t>(parameters) / 4;
}

int64_t times_due(const Recipe& recipe, int64_t every) {
  return every > 0 ? recipe.steps / every : 0;
}

}  // namespace

void check_same_run(const std::filesystem::path& out, const std::filesystem::path& checkpoint,
                    const Json& recipe) {
  const std::filesystem::path log = out / "log.jsonl";
  const Json logged = logged_recipe(log);
  if (!logged.is_object()) return;
  for (const auto& [field, value] : recipe.items()) {
    if (!logged.contains(field) || logged.at(field) == value || may_differ(field)) continue;
    fail(ErrorCode::kBadInput,
         "checkpoint '{}' is of another run: its {} is {}, but '{}' began with {}; put the run's "
         "own checkpoints back",
         checkpoint.string(), field, value.dump(), log.string(), logged.at(field).dump());
  }
}

uint64_t disk_bytes(const Recipe& recipe, int64_t parameters, int64_t existing) {
  // The newest ones, the best one, and the one that is being written.
  const int64_t kept = recipe.keep_checkpoints + 2;
  const int64_t best = recipe.checkpoint_every > 0 ? times_due(recipe, recipe.eval_every) : 0;
  const int64_t written = times_due(recipe, recipe.checkpoint_every) + best + 1;
  const int64_t more = std::max<int64_t>(1, std::min(kept, written) - existing);
  return static_cast<uint64_t>(more) * checkpoint_bytes(parameters) +
         4 * static_cast<uint64_t>(parameters);
}

uint64_t training_memory(const Recipe& recipe, const ModelConfig& config, int64_t ranks) {
  const auto parameters = static_cast<double>(config.parameter_count());
  const double state = parameters * (4 + 4 + 2.25 + 8.0 / static_cast<double>(ranks));
  // Floats of a token in a layer, and its probabilities in bf16 below the diagonal.
  const auto hidden = static_cast<double>(config.hidden_size);
  const auto positions = static_cast<double>(recipe.sequence_length);
  const double layer = 4 * (8 * hidden + 4 * static_cast<double>(config.intermediate_size)) +
                       static_cast<double>(config.num_attention_heads) * positions;
  const auto layers = static_cast<double>(config.num_hidden_layers);
  const double token = recipe.recompute ? layers * 4 * hidden + layer : layers * layer;
  const auto tokens = static_cast<double>(recipe.micro_batch_size) * positions;
  return static_cast<uint64_t>(state + tokens * token);
}

void check_memory(const Recipe& recipe, const ModelConfig& config, int64_t ranks, int64_t sharing) {
  constexpr double kCertain = 0.9;  // of the estimate
  const uint64_t needed = training_memory(recipe, config, ranks) * static_cast<uint64_t>(sharing);
  const uint64_t available = available_memory_bytes();
  if (available == 0 || kCertain * static_cast<double>(needed) <= static_cast<double>(available)) {
    return;
  }
  fail(ErrorCode::kUsage,
       "this training needs about {}, and {} are free; lower micro_batch_size, sequence_length, "
       "hidden_size or num_hidden_layers, or try --recompute",
       readable(needed), readable(available));
}

void check_disk(const std::filesystem::path& out, const Recipe& recipe, int64_t parameters) {
  const uint64_t needed = disk_bytes(recipe, parameters, count_checkpoints(out));
  const Disk disk = disk_of(out);
  if (needed <= disk.free_bytes) return;
  fail(ErrorCode::kIo,
       "the disk at '{}' has {} free, but the run needs {} ({} a checkpoint); free some space, "
       "lower keep_checkpoints, or choose another --out",
       disk.mount_point.string(), readable(disk.free_bytes), readable(needed),
       readable(checkpoint_bytes(parameters)));
}

}  // namespace tercet::learn
