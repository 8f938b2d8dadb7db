// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "formats/json.h"
#include "learn/data/manifest.h"

namespace tercet {

// The JSON that dataset.json and the journal of an unfinished build share.

// 64-bit hashes are written as text: many JSON readers keep 53 bits of a number.
std::string hash_text(uint64_t value);

// Reads fields of one object and names file and field (kBadInput) when they are not as they should
// be.
class FieldReader {
 public:
  // `object` must outlive this; `prefix` goes before the names of its fields.
  FieldReader(const Json& object, std::string file, std::string prefix);

  const Json& field(const char* name) const;
  uint64_t number(const char* name) const;
  std::string text(const char* name) const;
  bool boolean(const char* name) const;
  uint64_t hash(const char* name) const;
  [[noreturn]] void complain(const char* name, const char* what) const;

 private:
  const Json& object_;
  std::string file_;
  std::string prefix_;
};

Json split_to_json(const SplitEntry& split);
// `name` of the split goes before the names of fields. Its tokens must be the sum over its shards.
SplitEntry split_from_json(const Json& object, const std::string& file, const std::string& name);

}  // namespace tercet
