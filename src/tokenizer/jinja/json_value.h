// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "tokenizer/jinja/value.h"

namespace tercet::jinja {

// A value for templates from JSON, its members in their order; bytes that are not UTF-8 become
// U+FFFD. `json` must be of bounded depth (see parse_json).
Value from_json(const nlohmann::ordered_json& json, Origin origin = Origin::kData);

// A list as templates see it.
Value make_list(std::vector<Value> items);
Value make_map(Map entries);

}  // namespace tercet::jinja
