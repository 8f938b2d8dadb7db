// SPDX-License-Identifier: Apache-2.0
#include "formats/json_fields.h"

#include <cmath>
#include <limits>
#include <utility>

#include "core/error.h"
#include "formats/printable.h"

namespace tercet {
namespace {

// Short enough for a message; containers by their kind only.
std::string brief(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  if (value.is_string()) return "\"" + printable(value.get_ref<const std::string&>()) + "\"";
  return value.dump();
}

}  // namespace

JsonFields::JsonFields(const Json& object, std::string origin, std::string prefix)
    : object_(&object), origin_(std::move(origin)), prefix_(std::move(prefix)) {
  if (!object.is_object()) {
    fail(ErrorCode::kBadInput, "{}: {} where an object with named fields is expected", origin_,
         brief(object));
  }
}

std::string JsonFields::describe(const char* field) const {
  return origin_ + ": " + prefix_ + field;
}

const Json* JsonFields::find(const char* field) const {
  const auto position = object_->find(field);
  if (position == object_->end() || position->is_null()) return nullptr;
  return &*position;
}

void JsonFields::wrong(const char* field, const Json& value, const char* wanted) const {
  fail(ErrorCode::kBadInput, "{} is {}; {} is expected", describe(field), brief(value), wanted);
}

int64_t JsonFields::to_integer(const Json& value, const char* field) const {
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  if (!value.is_number_integer()) wrong(field, value, "a whole number");
  if (value.is_number_unsigned() && value.get<uint64_t>() > kMax) {
    wrong(field, value, "a smaller number");
  }
  return value.get<int64_t>();
}

std::optional<int64_t> JsonFields::find_integer(const char* field) const {
  const Json* value = find(field);
  if (value == nullptr) return std::nullopt;
  return to_integer(*value, field);
}

int64_t JsonFields::integer(const char* field) const {
  const auto value = find_integer(field);
  if (!value)
    fail(ErrorCode::kBadInput, "{} is missing; a whole number is expected", describe(field));
  return *value;
}

int64_t JsonFields::integer_or(const char* field, int64_t fallback) const {
  return find_integer(field).value_or(fallback);
}

float JsonFields::real_or(const char* field, float fallback) const {
  const Json* value = find(field);
  if (value == nullptr) return fallback;
  if (!value->is_number()) wrong(field, *value, "a number");
  const double wide = value->get<double>();
  if (!(std::fabs(wide) <= std::numeric_limits<float>::max())) {
    wrong(field, *value, "a number within single precision");
  }
  return static_cast<float>(wide);
}

bool JsonFields::boolean_or(const char* field, bool fallback) const {
  const Json* value = find(field);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) wrong(field, *value, "true or false");
  return value->get<bool>();
}

std::string JsonFields::string_or(const char* field, const std::string& fallback) const {
  const Json* value = find(field);
  if (value == nullptr) return fallback;
  if (!value->is_string()) wrong(field, *value, "a string");
  return value->get<std::string>();
}

std::vector<int64_t> JsonFields::integers_or(const char* field,
                                             std::vector<int64_t> fallback) const {
  const auto position = object_->find(field);
  if (position == object_->end()) return fallback;
  if (position->is_null()) return {};
  if (!position->is_array()) return {to_integer(*position, field)};
  std::vector<int64_t> out;
  for (const Json& element : *position) out.push_back(to_integer(element, field));
  return out;
}

std::optional<JsonFields> JsonFields::object(const char* field) const {
  const Json* value = find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) wrong(field, *value, "an object");
  return JsonFields(*value, origin_, prefix_ + field + ".");
}

}  // namespace tercet
