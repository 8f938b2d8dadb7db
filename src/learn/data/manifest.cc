// SPDX-License-Identifier: Apache-2.0
#include "learn/data/manifest.h"

#include "core/error.h"
#include "core/file.h"
#include "learn/data/manifest_json.h"

namespace tercet {
namespace {

constexpr const char* kFormat = "tercet-dataset";
constexpr uint64_t kVersion = 1;

}  // namespace

void write_manifest(const std::filesystem::path& directory, const DatasetManifest& manifest) {
  const Json json = {{"format", kFormat},
                     {"version", kVersion},
                     {"vocab_size", manifest.vocab_size},
                     {"tokenizer_fingerprint", hash_text(manifest.tokenizer_fingerprint)},
                     {"bos", manifest.bos},
                     {"seed", manifest.seed},
                     {"validation_fraction", manifest.validation_fraction},
                     {"train", split_to_json(manifest.train)},
                     {"val", split_to_json(manifest.validation)}};
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
  manifest.bos = fields.boolean("bos");
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
