// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace tercet::learn {

// OUT/checkpoints/ of a run: step-00000100/ and so on, each whole or absent, and `best`, a link to
// the one with the lowest validation loss. Every other name is the user's and left alone.

// Where the checkpoint after `step` steps lies; it need not exist.
std::filesystem::path checkpoint_path(const std::filesystem::path& out, int64_t step);

// The newest checkpoint, if there is any. Unfinished ones (a killed run's) are ignored.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& out);

// The newest one with at most so many steps.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& out,
                                                       int64_t most_steps);

// What a checkpoint's directory is called until it is whole: its name with this at the end.
inline constexpr const char* kUnfinished = ".unfinished";

// How many finished ones there are.
int64_t count_checkpoints(const std::filesystem::path& out);

// Removes what a process left that was killed while it saved. Only with the run's lock. Throws kIo.
void remove_unfinished(const std::filesystem::path& out);

// Makes `best` the checkpoint of `best_step` (when that exists; -1: there is none) and removes all
// others but the newest `keep`. Throws kIo.
void retain_checkpoints(const std::filesystem::path& out, int64_t keep, int64_t best_step);

// Throws kIo with the reason.
void remove_directory(const std::filesystem::path& directory);
// The same; the new name is on the disk when it returns.
void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace tercet::learn
