// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tercet::cli {

// The running program's own file.
std::filesystem::path program_path();

// The `tercet-learn` program: beside this one, or in ../libexec. Empty when this build has none.
std::optional<std::filesystem::path> find_learning_half();

// Replaces this process by `tercet-learn arguments...`. Throws kIo when this build has no learning
// half or it cannot be started.
[[noreturn]] void exec_learning_half(const std::vector<std::string>& arguments);

// Runs `program arguments...` to its end with its stdout captured (at most 16 MiB), stderr and
// stdin shared; throws kIo when it cannot be started.
struct ChildResult {
  int exit_status = 0;  // 128 + n when signal n ended it
  std::string output;
};
ChildResult run_and_capture(const std::filesystem::path& program,
                            const std::vector<std::string>& arguments);

}  // namespace tercet::cli
