// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>

#include "learn/dist/team.h"
#include "learn/pretrain/checkpoint.h"
#include "learn/pretrain/train_events.h"

namespace tercet::learn {

// OUT/training.json: the result of a finished run as data, with what it was made from and where its
// time went. Throws kIo.
void write_summary(const std::filesystem::path& out, const TrainingState& state,
                   const TrainResult& result);

// What the first rank finds in OUT/training.json, for all of them; nothing if the run is not
// finished, or its last checkpoints were taken away for it to go on from an older one. Throws kIo,
// kBadInput.
std::optional<TrainResult> read_summary(const std::filesystem::path& out, const Team& team);

}  // namespace tercet::learn
