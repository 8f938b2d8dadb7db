// SPDX-License-Identifier: Apache-2.0
#include "learn/data/manifest.h"

#include <charconv>

#include "core/checked.h"
#include "core/error.h"
#include "core/file.h"
#include "formats/json.h"

namespace tercet {
namespace {

constexpr const char* kFormat = "tercet-dataset";
constexpr uint64_t kVersion = 1;

// 64-bit hashes are written as text: many JSON readers keep 53 bits of a number.
std::string hex(uint64_t value) { return fmt::format("{:016x}", value); }

Json to_json(const SplitEntry& split) {
  Json shards = Json::array();
  for (const ShardEntry& shard : split.shards) {
    shards.push_back({{"file", shard.file},
                      {"tokens", shard.tokens},
                      {"documents", shard.documents},
                      {"checksum", hex(shard.checksum)}});
  }
  return {{"tokens", split.tokens},
          {"documents", split.documents},
          {"bytes", split.bytes},
          {"shards", std::move(shards)}};
}

// Reads fields of one object and names file and field when they are not as they should be.
class FieldReader {
 public:
  FieldReader(const Json& object, std::string file, std::string prefix)
      : object_(object), file_(std::move(file)), prefix_(std::move(prefix)) {
    if (!object.is_object()) complain("", "is not an object");
  }

  const Json& field(const char* name) const {
    const auto it = object_.find(name);
    if (it == object_.end()) complain(name, "is missing");
    return *it;
  }
  uint64_t number(const char* name) const {
    const Json& value = field(name);
    if (!value.is_number_unsigned()) complain(name, "is not a whole number");
    return value.get<uint64_t>();
  }
  std::string text(const char* name) const {
    const Json& value = field(name);
    if (!value.is_string()) complain(name, "is not a string");
    return value.get<std::string>();
  }
  uint64_t hash(const char* name) const {
    const std::string digits = text(name);
    uint64_t value = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value, 16);
    if (digits.size() != 16 || error != std::errc() || stop != end) {
      complain(name, "is not 16 hexadecimal digits");
    }
    return value;
  }
  [[noreturn]] void complain(const char* name, const char* what) const {
    fail(ErrorCode::kBadInput, "'{}': the field '{}{}' {}; build the data set again", file_,
         prefix_, name, what);
  }

 private:
  const Json& object_;
  std::string file_;
  std::string prefix_;
};

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

}  // namespace

void write_manifest(const std::filesystem::path& directory, const DatasetManifest& manifest) {
  const Json json = {{"format", kFormat},
                     {"version", kVersion},
                     {"vocab_size", manifest.vocab_size},
                     {"tokenizer_fingerprint", hex(manifest.tokenizer_fingerprint)},
                     {"bos", manifest.bos},
                     {"seed", manifest.seed},
                     {"validation_fraction", manifest.validation_fraction},
                     {"train", to_json(manifest.train)},
                     {"val", to_json(manifest.validation)}};
  write_text_file(directory / kManifestName, json.dump(2) + "\n");
}

DatasetManifest read_manifest(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kManifestName;
  const Json json = read_json_file(path);
  const FieldReader fields(json, path.string(), "");
  if (fields.text("format") != kFormat) fields.complain("format", "is not 'tercet-dataset'");
  if (fields.number("version") != kVersion) {
    fail(ErrorCode::kUnsupported,
         "'{}': data set version {} is not the version {} this program reads", path.string(),
         fields.number("version"), kVersion);
  }
  DatasetManifest manifest;
  const uint64_t vocab_size = fields.number("vocab_size");
  if (vocab_size == 0 || vocab_size > INT32_MAX) fields.complain("vocab_size", "is impossible");
  manifest.vocab_size = static_cast<uint32_t>(vocab_size);
  manifest.tokenizer_fingerprint = fields.hash("tokenizer_fingerprint");
  if (!fields.field("bos").is_boolean()) fields.complain("bos", "is not true or false");
  manifest.bos = fields.field("bos").get<bool>();
  manifest.seed = fields.number("seed");
  if (!fields.field("validation_fraction").is_number()) {
    fields.complain("validation_fraction", "is not a number");
  }
  manifest.validation_fraction = fields.field("validation_fraction").get<double>();
  manifest.train = split_from_json(fields.field("train"), path.string(), "train");
  manifest.validation = split_from_json(fields.field("val"), path.string(), "val");
  return manifest;
}

}  // namespace tercet
