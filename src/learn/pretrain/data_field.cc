// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/data_field.h"

#include "core/error.h"

namespace tercet::learn {
namespace {

DataSource source_from_json(const Json& value, const std::string& at) {
  if (value.is_string()) return {value.get<std::string>(), {}};
  if (!value.is_object()) {
    fail(ErrorCode::kBadInput, "{} must be a path or an object with path and weight, not {}", at,
         value.dump());
  }
  DataSource source;
  for (const auto& [key, member] : value.items()) {
    if (key == "path" && member.is_string()) {
      source.path = member.get<std::string>();
    } else if (key == "weight" && member.is_number()) {
      source.weight = member.get<double>();
    } else {
      fail(ErrorCode::kBadInput, "{}: '{}' is {}; it takes a text 'path' and a number 'weight'", at,
           key, member.dump());
    }
  }
  return source;
}

}  // namespace

std::vector<DataSource> data_from_json(const Json& value, const std::string& at) {
  std::vector<DataSource> sources;
  if (value.is_array()) {
    for (const Json& entry : value) {
      sources.push_back(source_from_json(entry, fmt::format("{}[{}]", at, sources.size())));
    }
  } else if (value != "") {
    sources.push_back(source_from_json(value, at));
  }
  return sources;
}

Json data_to_json(const std::vector<DataSource>& sources) {
  if (sources.empty()) return "";
  if (sources.size() == 1 && !sources[0].weight) return sources[0].path;
  Json list = Json::array();
  for (const DataSource& source : sources) {
    list.push_back({{"path", source.path}});
    if (source.weight) list.back()["weight"] = *source.weight;
  }
  return list;
}

}  // namespace tercet::learn
