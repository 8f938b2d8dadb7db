// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tercet {

using Json = nlohmann::json;

// Takes one entry of a table: its key (empty in a list) and its value; both may be moved from.
using JsonTableEntry = std::function<void(std::string& key, Json& value)>;
// Receivers by the path of the table, e.g. "model.vocab".
using JsonTables = std::map<std::string, JsonTableEntry, std::less<>>;

// The one way JSON from outside enters the program: nesting at most 64 deep, at most `max_bytes`
// long and some millions of values, duplicate keys in an object refused. `origin` names the source
// in errors (kBadInput). The entries of the objects and lists that `tables` names are handed over
// one by one, repeated keys included, and count for nothing; the document has empty ones instead.
Json parse_json(std::string_view text, const std::string& origin, size_t max_bytes = 64u << 20,
                const JsonTables& tables = {});

// parse_json of a file. Throws kIo when it cannot be read.
Json read_json_file(const std::filesystem::path& path, size_t max_bytes = 64u << 20);

}  // namespace tercet
