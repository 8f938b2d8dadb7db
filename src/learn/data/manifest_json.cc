// SPDX-License-Identifier: Apache-2.0
#include "learn/data/manifest_json.h"

#include <charconv>

#include "core/checked.h"
#include "core/error.h"

namespace tercet {

std::string hash_text(uint64_t value) { return fmt::format("{:016x}", value); }

FieldReader::FieldReader(const Json& object, std::string file, std::string prefix)
    : object_(object), file_(std::move(file)), prefix_(std::move(prefix)) {
  if (!object.is_object()) complain("", "is not an object");
}

const Json& FieldReader::field(const char* name) const {
  const auto it = object_.find(name);
  if (it == object_.end()) complain(name, "is missing");
  return *it;
}

uint64_t FieldReader::number(const char* name) const {
  const Json& value = field(name);
  if (!value.is_number_unsigned()) complain(name, "is not a whole number");
  return value.get<uint64_t>();
}

std::string FieldReader::text(const char* name) const {
  const Json& value = field(name);
  if (!value.is_string()) complain(name, "is not a string");
  return value.get<std::string>();
}

bool FieldReader::boolean(const char* name) const {
  const Json& value = field(name);
  if (!value.is_boolean()) complain(name, "is not true or false");
  return value.get<bool>();
}

uint64_t FieldReader::hash(const char* name) const {
  const std::string digits = text(name);
  uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, 16);
  if (digits.size() != 16 || error != std::errc() || stop != end) {
    complain(name, "is not 16 hexadecimal digits");
  }
  return value;
}

void FieldReader::complain(const char* name, const char* what) const {
  fail(ErrorCode::kBadInput, "'{}': the field '{}{}' {}; build the data set again", file_, prefix_,
       name, what);
}

Json split_to_json(const SplitEntry& split) {
  Json shards = Json::array();
  for (const ShardEntry& shard : split.shards) {
    shards.push_back({{"file", shard.file},
                      {"tokens", shard.tokens},
                      {"documents", shard.documents},
                      {"checksum", hash_text(shard.checksum)}});
  }
  return {{"tokens", split.tokens},
          {"documents", split.documents},
          {"bytes", split.bytes},
          {"shards", std::move(shards)}};
}

SplitEntry split_from_json(const Json& object, const std::string& file, const std::string& name) {
  const FieldReader fields(object, file, name + ".");
  SplitEntry split;
  split.tokens = fields.number("tokens");
  split.documents = fields.number("documents");
  split.bytes = fields.number("bytes");
  const Json& shards = fields.field("shards");
  if (!shards.is_array()) fields.complain("shards", "is not an array");
  uint64_t sum = 0;
  for (const Json& shard : shards) {
    const FieldReader shard_fields(shard, file,
                                   fmt::format("{}.shards[{}].", name, split.shards.size()));
    ShardEntry entry;
    entry.file = shard_fields.text("file");
    if (entry.file.empty() || entry.file.find('/') != std::string::npos || entry.file[0] == '.') {
      shard_fields.complain("file", "is not a plain file name");
    }
    entry.tokens = shard_fields.number("tokens");
    entry.documents = shard_fields.number("documents");
    entry.checksum = shard_fields.hash("checksum");
    const auto next = checked_add(sum, entry.tokens);
    if (!next) shard_fields.complain("tokens", "is too large");
    sum = *next;
    split.shards.push_back(std::move(entry));
  }
  if (sum != split.tokens) fields.complain("tokens", "is not the sum over its shards");
  return split;
}

}  // namespace tercet
