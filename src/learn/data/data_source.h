// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tercet {

// A data set that a run trains on, and its share of the sequences.
struct DataSource {
  std::string path;              // directory made by `tercet data build`
  std::optional<double> weight;  // shares are weights over their sum; none: by size

  bool operator==(const DataSource&) const = default;
};

// "DIR" or "DIR=WEIGHT" as the command line has them. What follows the last '=' is a weight when it
// is a number and no directory has the whole text as its name.
DataSource parse_data_source(const std::string& text);

// Throws kUsage naming the path of a weight that is not a number above 0, of a source that is
// listed twice, and when some sources have a weight and others none.
void check_data_sources(std::span<const DataSource> sources);

}  // namespace tercet
