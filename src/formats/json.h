// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tercet {

using Json = nlohmann::json;

// The one way JSON from outside enters the program: nesting at most 64 deep, at most `max_bytes`
// long, duplicate keys in an object refused. `origin` names the source in errors (kBadInput).
Json parse_json(std::string_view text, const std::string& origin, size_t max_bytes = 64u << 20);

// parse_json of a file. Throws kIo when it cannot be read.
Json read_json_file(const std::filesystem::path& path, size_t max_bytes = 64u << 20);

}  // namespace tercet
