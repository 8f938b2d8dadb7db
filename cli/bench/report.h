// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/bench/measurement.h"
#include "formats/json.h"

namespace tercet::cli {

// What was measured, of which model and where.
struct BenchReport {
  std::string model;
  uint64_t model_bytes = 0;  // of the files, or what they would be
  int64_t layers = 0;
  int64_t distinct_layers = 0;  // fewer than layers: the others are views of them
  double load_seconds = 0;      // until the first token could have been read
  std::string isa;
  BenchPlan plan;
  BenchResult result;
};

// The one document of --json: the fields of the command line contract, those that depend on the
// number of threads once for each in `results`.
Json to_json(const BenchReport& report);

// A table with one line for each number of threads, and what its columns mean.
std::string format_report(const BenchReport& report);

}  // namespace tercet::cli
