// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "learn/data/manifest.h"
#include "learn/data/shard.h"

namespace tercet {

enum class Split { kTrain, kValidation };

// One split of a data set as a single sequence of tokens, read from the disk where it is asked for.
// Its shards are open files. Immutable after opening; safe to share between threads.
class TokenDataset {
 public:
  // directory: what build_dataset wrote. Throws kIo when a file is missing, kBadInput when a shard
  // disagrees with dataset.json in size, vocabulary, tokenizer or checksum.
  static TokenDataset open(const std::filesystem::path& directory, Split split);

  const std::filesystem::path& directory() const { return directory_; }
  uint64_t size() const { return starts_.back(); }  // tokens; 0 for a data set without this split
  const DatasetManifest& manifest() const { return manifest_; }
  const SplitEntry& entry() const;
  int32_t vocab_size() const { return static_cast<int32_t>(manifest_.vocab_size); }

  // Tokens [begin, begin + count) into `out`. Throws kInternal outside [0, size()) and what
  // ShardReader::copy throws.
  void copy(uint64_t begin, uint64_t count, int64_t* out) const;
  // Lets the system begin to fetch those tokens; returns at once.
  void will_need(uint64_t begin, uint64_t count) const;
  const std::vector<ShardReader>& shards() const { return shards_; }
  // Reads all shards; throws kBadInput for the first whose checksum differs.
  void verify() const;

 private:
  // Calls use(shard, begin, count) for the parts of [begin, begin + count), in order.
  template <typename Use>
  void for_parts(uint64_t begin, uint64_t count, const Use& use) const;

  std::filesystem::path directory_;
  DatasetManifest manifest_;
  Split split_ = Split::kTrain;
  std::vector<ShardReader> shards_;
  std::vector<uint64_t> starts_ = {0};  // of each shard, then the total
};

}  // namespace tercet
