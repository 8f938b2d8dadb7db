// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/key_values.h"

#include <algorithm>

#include "core/error.h"

namespace tercet::learn {

std::vector<std::string> KeyValues::perform(const Message& request) {
  const std::vector<std::string>& fields = request.fields;
  const auto is = [&](const char* operation, size_t arguments) {
    return fields.size() == arguments + 1 && fields[0] == operation;
  };
  if (is("set", 2)) {
    values_[fields[1]] = fields[2];
    return {};
  }
  if (is("get", 1)) {
    const auto found = values_.find(fields[1]);
    return found == values_.end() ? std::vector<std::string>{} : std::vector{found->second};
  }
  if (is("add", 2)) return {add(fields[1], request)};
  if (is("compare_set", 3)) return {compare_set(fields[1], fields[2], fields[3])};
  if (is("delete", 1)) return {number_field(static_cast<int64_t>(values_.erase(fields[1])))};
  if (is("count", 0)) return {number_field(static_cast<int64_t>(values_.size()))};
  if (!fields.empty() && fields[0] == "check") {
    const bool all = std::all_of(fields.begin() + 1, fields.end(),
                                 [&](const std::string& key) { return values_.contains(key); });
    return {all ? "1" : "0"};
  }
  fail(ErrorCode::kBadInput, "an unknown request");
}

std::string KeyValues::add(const std::string& key, const Message& request) {
  std::string& value = values_[key];
  const Message now{MessageKind::kReply, {value.empty() ? "0" : value}};
  value = number_field(parse_number_field(now, 0) + parse_number_field(request, 2));
  return value;
}

std::string KeyValues::compare_set(const std::string& key, const std::string& expected,
                                   const std::string& desired) {
  const auto found = values_.find(key);
  if (found == values_.end()) {
    if (!expected.empty()) return expected;
    values_[key] = desired;
    return desired;
  }
  if (found->second == expected) found->second = desired;
  return found->second;
}

}  // namespace tercet::learn
