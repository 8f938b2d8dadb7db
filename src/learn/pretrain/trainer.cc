// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/trainer.h"

#include <optional>
#include <tuple>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "learn/data/corpora.h"
#include "learn/nn/tensor_memory.h"
#include "learn/pretrain/checkpoint.h"
#include "learn/pretrain/checkpoint_directory.h"
#include "learn/pretrain/run_checks.h"
#include "learn/pretrain/run_lock.h"
#include "learn/pretrain/run_summary.h"
#include "learn/pretrain/torch_session.h"
#include "learn/pretrain/training_run.h"
#include "version/version.h"

namespace tercet::learn {
namespace {

// What all ranks must have in common: the program, the data, and the recipe where each has its own
// (without what may differ from machine to machine). Where the data lies is not part of it.
void check_agreement(Team team, const Recipe& recipe, bool with_recipe) {
  if (team.group() == nullptr) return;
  ProcessGroup::NamedValues values = {
      {"the version of tercet", version()},
      {"the checksum of dataset.json", fingerprint_of(recipe.data)}};
  for (const DataSource& source : recipe.data) {
    values.emplace_back("the weight of data", fmt::format("{}", source.weight.value_or(0)));
  }
  if (with_recipe) {
    const Json fields = to_json(recipe);
    for (const auto& [field, value] : fields.items()) {
      if (field != "data" && field != "threads") values.emplace_back(field, value.dump());
    }
  }
  team.check_agreement(values);
}

void check_unused(const std::filesystem::path& out) {
  if (newest_checkpoint(out) || std::filesystem::exists(out / "model.safetensors")) {
    fail(ErrorCode::kUsage,
         "'{}' already holds a run; continue it with --resume or choose another --out",
         out.string());
  }
}

TrainResult start_run(const Recipe& recipe, const std::filesystem::path& out,
                      const TrainEvents& events, const std::atomic<bool>* stop, Team team) {
  Recipe ready = resolved(recipe, team.ranks());
  // The run may be resumed from another directory.
  for (DataSource& source : ready.data) {
    source.path = std::filesystem::absolute(source.path).lexically_normal().string();
  }
  const bool fresh = ready.init_from.empty();
  if (!fresh) {
    ready.init_from = std::filesystem::absolute(ready.init_from).lexically_normal().string();
  }
  check_agreement(team, ready, true);
  std::optional<RunLock> lock;
  if (team.is_first()) {
    make_directories(out);
    lock.emplace(out);
    check_unused(out);
    remove_unfinished(out);
  }
  settle_threads(ready, team.sharing());
  TrainingRun run(ready, ready.init_from, out, events, stop, team);
  if (!fresh) run.begin_from(ready.init_from);
  return run.train(false);
}

// The newest checkpoint and its state.
std::pair<std::filesystem::path, TrainingState> find_checkpoint(const std::filesystem::path& out) {
  const auto checkpoint = newest_checkpoint(out);
  if (!checkpoint) {
    fail(ErrorCode::kUsage, "'{}' holds no checkpoint to resume from; start without --resume",
         out.string());
  }
  TrainingState state = read_checkpoint(*checkpoint);
  check_same_run(out, *checkpoint, state.recipe);
  return {*checkpoint, std::move(state)};
}

// Where the data sets of the run lie now.
void take_places(const std::vector<DataSource>& now, Recipe& recipe) {
  if (now.empty()) return;
  if (now.size() != recipe.data.size()) {
    fail(ErrorCode::kUsage,
         "the run has {} data set(s), but --data names {}; give the new place of each, in their "
         "order",
         recipe.data.size(), now.size());
  }
  for (size_t i = 0; i < now.size(); ++i) {
    recipe.data[i].path = std::filesystem::absolute(now[i].path).lexically_normal().string();
  }
}

TrainResult resume_run(const Recipe& given, const std::filesystem::path& out,
                       const TrainEvents& events, const std::atomic<bool>* stop, Team team,
                       bool verify_data) {
  // Schedulers start jobs again that are over.
  if (const auto finished = read_summary(out, team)) return *finished;
  std::filesystem::path checkpoint;
  TrainingState state;
  std::optional<RunLock> lock;
  if (team.is_first()) {
    if (newest_checkpoint(out)) {  // else there is nothing to find
      lock.emplace(out);
      remove_unfinished(out);
    }
    std::tie(checkpoint, state) = find_checkpoint(out);
  }
  state = training_state(Json::parse(team.share(to_json(state).dump())));
  Recipe recipe;
  apply_json(recipe, state.recipe, (checkpoint / "state.json").string());
  take_places(given.data, recipe);
  check_ranks(recipe, team.ranks());
  check_agreement(team, recipe, false);
  // The threads of so many ranks are not those of others.
  if (state.ranks != team.ranks()) recipe.threads = 0;
  settle_threads(recipe, team.sharing());
  // A run that started from a model has its shape; the model itself may be gone. Every rank reads
  // the shape from the checkpoint.
  const std::filesystem::path shape =
      recipe.init_from.empty() ? "" : team.share(checkpoint.string());
  TrainingRun run(recipe, shape, out, events, stop, team);
  run.restore(checkpoint, state);
  return run.train(verify_data);
}

}  // namespace

TrainResult pretrain(const Recipe& recipe, const std::filesystem::path& out, bool resume,
                     const TrainEvents& events, const std::atomic<bool>* stop, Team team,
                     bool verify_data) {
  keep_tensor_memory();
  try {
    return resume ? resume_run(recipe, out, events, stop, team, verify_data)
                  : start_run(recipe, out, events, stop, team);
  } catch (const Error& error) {
    const std::string message = error.what();
    const bool says_how = message.find("--resume") != std::string::npos;
    if (error.code() != ErrorCode::kIo || says_how || !team.is_first()) throw;
    const auto checkpoint = newest_checkpoint(out);
    if (!checkpoint) throw;
    fail(ErrorCode::kIo, "{}; once that is solved, --resume goes on from '{}'", message,
         checkpoint->string());
  } catch (const c10::Error& error) {
    rethrow_torch_error(error,
                        "micro_batch_size, sequence_length, hidden_size or num_hidden_layers");
  }
}

}  // namespace tercet::learn
