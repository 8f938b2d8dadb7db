// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/trainer.h"

#include "core/error.h"
#include "core/file.h"
#include "learn/nn/tensor_memory.h"
#include "learn/pretrain/checkpoint.h"
#include "learn/pretrain/checkpoint_directory.h"
#include "learn/pretrain/torch_session.h"
#include "learn/pretrain/training_run.h"

namespace tercet::learn {
namespace {

TrainResult start_run(const Recipe& recipe, const std::filesystem::path& out,
                      const TrainEvents& events, const std::atomic<bool>* stop) {
  if (newest_checkpoint(out) || std::filesystem::exists(out / "model.safetensors")) {
    fail(ErrorCode::kUsage,
         "'{}' already holds a run; continue it with --resume or choose another --out",
         out.string());
  }
  Recipe ready = resolved(recipe);
  // The run may be resumed from another directory.
  ready.data = std::filesystem::absolute(ready.data).lexically_normal().string();
  const bool fresh = ready.init_from.empty();
  if (!fresh) {
    ready.init_from = std::filesystem::absolute(ready.init_from).lexically_normal().string();
  }
  settle_threads(ready);
  make_directories(out);
  TrainingRun run(ready, ready.init_from, out, events, stop);
  if (!fresh) run.begin_from(ready.init_from);
  return run.train();
}

TrainResult resume_run(const std::filesystem::path& out, const TrainEvents& events,
                       const std::atomic<bool>* stop) {
  const auto checkpoint = newest_checkpoint(out);
  if (!checkpoint) {
    fail(ErrorCode::kUsage, "'{}' holds no checkpoint to resume from; start without --resume",
         out.string());
  }
  const TrainingState state = read_checkpoint(*checkpoint);
  Recipe recipe;
  apply_json(recipe, state.recipe, (*checkpoint / "state.json").string());
  if (state.step >= recipe.steps && std::filesystem::exists(out / "training.json")) {
    fail(ErrorCode::kUsage, "the run in '{}' is finished: all {} steps are done", out.string(),
         recipe.steps);
  }
  settle_threads(recipe);
  // A run that started from a model has its shape; the model itself may be gone.
  const std::filesystem::path shape = recipe.init_from.empty() ? "" : *checkpoint;
  TrainingRun run(recipe, shape, out, events, stop);
  run.restore(*checkpoint, state);
  return run.train();
}

}  // namespace

TrainResult pretrain(const Recipe& recipe, const std::filesystem::path& out, bool resume,
                     const TrainEvents& events, const std::atomic<bool>* stop) {
  keep_tensor_memory();
  try {
    return resume ? resume_run(out, events, stop) : start_run(recipe, out, events, stop);
  } catch (const c10::Error& error) {
    rethrow_torch_error(error);
  }
}

}  // namespace tercet::learn
