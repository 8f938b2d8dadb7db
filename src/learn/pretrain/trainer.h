// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <filesystem>

#include "learn/dist/team.h"
#include "learn/pretrain/recipe.h"
#include "learn/pretrain/train_events.h"

namespace tercet::learn {

// Trains by `recipe` into `out`: log.jsonl, checkpoints/, and at the end the HF directory (config,
// weights, tokenizer) with training.json, the result and recipe as data, beside it. With `resume`
// it continues from the newest checkpoint there to the same bits as an uninterrupted run; the
// recipe then comes from the checkpoint; of `recipe` only `data` counts, where the same data sets
// lie now, if it names any; a finished run's result is read from training.json. All shards of the
// data are read and compared with their checksums before the first step; resuming reads again those
// whose size or time of change is another, with `verify_data` all of them. When *stop becomes true,
// a checkpoint is written and kInterrupted thrown. Throws kUsage for a recipe that makes no sense
// or needs more memory than there is, kBadInput for damaged data or losses that are no longer
// finite (naming the last checkpoint that is known to be good), kIo when the disk is full (the last
// checkpoint stays). A team's ranks all call it alike. They share the micro-batches of every step,
// so the result is that of one process but for the order of sums; only rank 0 reads and writes
// `out`, and `events` of the others are not called. A run continues with any number of ranks.
// Throws kUsage, before any work, when the ranks' programs, recipes or data differ or so many
// cannot share a step.
TrainResult pretrain(const Recipe& recipe, const std::filesystem::path& out, bool resume,
                     const TrainEvents& events, const std::atomic<bool>* stop, Team team = {},
                     bool verify_data = false);

}  // namespace tercet::learn
