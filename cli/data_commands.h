// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

namespace tercet::cli {

// The sub-commands of `tercet data`.
void add_data_build(CLI::App& group);
void add_data_info(CLI::App& group);

}  // namespace tercet::cli
