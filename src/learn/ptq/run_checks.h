// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>

#include "formats/hf_model.h"
#include "learn/ptq/plan.h"

namespace tercet::learn {

// What is looked at before hours are spent.

// Throws kIo where the disk has no room for what the plan says, kUsage where memory has none. `out`
// need not exist; what lies there counts as room when the run in it is resumed. ranks: those on
// this machine.
void check_room(const PtqPlan& plan, const std::filesystem::path& out, bool resume, int64_t ranks);

// Throws kBadInput naming the tensor where a weight is NaN or infinite, kUnsupported where the
// values of a linear map are ternary already, kInterrupted when *stop becomes true. Reads the whole
// model once, a part at a time.
void check_values(const HfModel& model, const std::atomic<bool>* stop);

}  // namespace tercet::learn
