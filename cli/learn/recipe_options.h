// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "formats/json.h"

namespace tercet::cli {

// Adds one option per recipe field but those in `without`; what the user gives goes to `keep` under
// the field's name.
void add_recipe_options(CLI::App& command, const std::vector<std::string>& without,
                        const std::function<void(const std::string& field, Json value)>& keep);

}  // namespace tercet::cli
