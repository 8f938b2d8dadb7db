// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "learn/study/run_result.h"

namespace tercet::learn {

// Runs of one size: a twin experiment, perhaps with several seeds.
struct SizeResult {
  std::string name;
  std::vector<RunResult> runs;
};

// Finished runs: each source is a directory of a run, of a twin or of a scaling study, or a results
// file (twin.json, scaling.json). Those of one shape and length are of one size. Throws kUsage for
// a source that is none of them and for a run that is given twice.
std::vector<SizeResult> read_sizes(const std::vector<std::filesystem::path>& sources);

// Throws kUsage naming two runs whose losses cannot be compared: other windows, validation tokens
// or data.
void check_comparable(const std::vector<SizeResult>& sizes);

}  // namespace tercet::learn
