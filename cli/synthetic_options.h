// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "model/convert.h"
#include "model/synthetic_source.h"

namespace tercet::cli {

// The options of every command that makes random weights: --type, --rest-type, --seed.
struct SyntheticArguments {
  std::string type = "trit5";
  std::string rest_type = "auto";
  uint64_t seed = 1;

  void add_to(CLI::App& command);

  // Throws kUsage for an unknown type.
  ConvertOptions convert_options() const;
  // Weights for that type: without zeros where it has none.
  SyntheticSource source(const SyntheticShape& shape) const;
};

}  // namespace tercet::cli
