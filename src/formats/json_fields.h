// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/json.h"

namespace tercet {

// Typed access to the members of a JSON object that came from outside. Every error is kBadInput and
// reads "origin: field is <what was found>; <what is wanted>". A member that is null counts as
// absent.
class JsonFields {
 public:
  // `object` must outlive this. `origin` names the file; `prefix` is put before field names.
  // Throws kBadInput when `object` is not a JSON object.
  JsonFields(const Json& object, std::string origin, std::string prefix = "");

  bool has(const char* field) const { return find(field) != nullptr; }
  const std::string& origin() const { return origin_; }
  // "origin: field", for errors.
  std::string describe(const char* field) const;

  std::optional<int64_t> find_integer(const char* field) const;
  int64_t integer(const char* field) const;
  int64_t integer_or(const char* field, int64_t fallback) const;
  // Fits f32, finite.
  float real_or(const char* field, float fallback) const;
  bool boolean_or(const char* field, bool fallback) const;
  std::string string_or(const char* field, const std::string& fallback) const;
  // A single integer or a list of them; `fallback` when absent (null gives an empty list).
  std::vector<int64_t> integers_or(const char* field, std::vector<int64_t> fallback) const;
  // The member object, nothing when absent or null.
  std::optional<JsonFields> object(const char* field) const;
  // The member itself; nullptr when absent or null.
  const Json* find(const char* field) const;

 private:
  int64_t to_integer(const Json& value, const char* field) const;
  [[noreturn]] void wrong(const char* field, const Json& value, const char* wanted) const;

  const Json* object_;
  std::string origin_;
  std::string prefix_;
};

}  // namespace tercet
