// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tercet {

struct ShardEntry {
  std::string file;  // name beside dataset.json
  uint64_t tokens = 0;
  uint64_t documents = 0;
  uint64_t checksum = 0;
};

struct SplitEntry {
  uint64_t tokens = 0;  // BOS and EOS included
  uint64_t documents = 0;
  uint64_t bytes = 0;  // of text: what bits per byte are counted on
  std::vector<ShardEntry> shards;
};

// dataset.json, the table of contents of a data set (docs/formats/shards.md). It is written last:
// where it exists, the data set is whole.
struct DatasetManifest {
  uint32_t vocab_size = 0;
  uint64_t tokenizer_fingerprint = 0;
  bool bos = false;  // whether each document starts with BOS; each ends with EOS
  uint64_t seed = 0;
  double validation_fraction = 0;
  SplitEntry train;
  SplitEntry validation;
};

inline constexpr const char* kManifestName = "dataset.json";

void write_manifest(const std::filesystem::path& directory, const DatasetManifest& manifest);

// Throws kIo when there is no dataset.json, kBadInput naming file and field when it is damaged: a
// missing or impossible number, sums that disagree, a shard name that is not a plain file name.
DatasetManifest read_manifest(const std::filesystem::path& directory);

}  // namespace tercet
