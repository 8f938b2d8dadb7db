// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "formats/json.h"
#include "learn/study/twin_plan.h"

namespace tercet::learn {

// How trainings are run and whom they tell.
struct RunnerSetup {
  std::filesystem::path program;  // tercet-learn
  int64_t parallel = 1;           // trainings at a time
  // Called for every JSON line of `tercet pretrain --json`, on the calling thread.
  std::function<void(const std::string& family, const Json& event)> on_event;
  const std::atomic<bool>* stop = nullptr;
};

// Trains the members into OUT/<family>/ by OUT/<family>.recipe.json, each in a process of its own,
// and returns when all are
// finished. Those that are finished already are left alone, begun ones go on from their newest
// checkpoint. When *stop becomes true or one member fails, the others save and end; then throws
// kInterrupted, or the member's own error.
void train_members(const std::filesystem::path& out, const std::vector<TwinMember>& members,
                   const RunnerSetup& setup);

// Steps that members still have to do, as far as their newest checkpoints tell.
int64_t steps_left(const std::filesystem::path& out, const std::vector<TwinMember>& members);

}  // namespace tercet::learn
