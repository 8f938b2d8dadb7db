// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "formats/json.h"
#include "learn/data/data_source.h"

namespace tercet::learn {

// The recipe's field `data` in JSON: the path of a data set, {"path": ..., "weight": ...}, a list
// of such, or "" for none. Throws kBadInput that begins with `at`.
std::vector<DataSource> data_from_json(const Json& value, const std::string& at);

// A path where there is one data set without a weight, else a list of objects.
Json data_to_json(const std::vector<DataSource>& sources);

}  // namespace tercet::learn
