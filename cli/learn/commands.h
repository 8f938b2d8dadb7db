// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

namespace tercet::cli {

// The sub-commands of tercet-learn; each callback does the work and throws tercet::Error.
void add_pretrain(CLI::App& app);
void add_twin(CLI::App& app);
void add_scaling(CLI::App& app);
void add_quantize(CLI::App& app);
// What `tercet doctor` asks about libtorch.
void add_learn_doctor(CLI::App& app);

}  // namespace tercet::cli
