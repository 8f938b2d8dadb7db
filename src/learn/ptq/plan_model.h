// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "formats/model_config.h"

namespace tercet::learn {

// Whether the weights of the model that `path` (a directory, or its config.json) stands for are all
// there.
bool has_weights(const std::filesystem::path& path);

// The model's shape from its config.json alone. Throws what reading that throws, kUnsupported for a
// model that cannot be quantized.
ModelConfig planned_config(const std::filesystem::path& path);

// Throws kUnsupported for a model that is ternary already (is_given: marked so in its config.json)
// or of a kind that is not computed here. `origin` stands in errors.
void check_quantizable(const ModelConfig& config, bool is_given, const std::string& origin);

}  // namespace tercet::learn
