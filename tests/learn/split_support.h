// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <vector>

#include "learn/data/dataset.h"

namespace tercet::testing {

struct CountingOptions {
  uint64_t shard_tokens = 70;
  uint32_t vocab_size = 100'000;
  uint64_t tokenizer_fingerprint = 0;
  bool bos = false;
  uint64_t validation_tokens = 0;
};

// Writes shards of the tokens first, first + 1, ... and returns what the manifest says of them.
inline SplitEntry write_counting(const std::filesystem::path& directory, const std::string& name,
                                 uint64_t tokens, int32_t first, const CountingOptions& options) {
  SplitEntry entry;
  for (uint64_t begin = 0; begin < tokens; begin += options.shard_tokens) {
    const std::string file = fmt::format("{}-{:05}.bin", name, entry.shards.size());
    ShardWriter writer(directory / file, options.vocab_size, options.tokenizer_fingerprint);
    std::vector<int32_t> ids(std::min(options.shard_tokens, tokens - begin));
    std::iota(ids.begin(), ids.end(), first + static_cast<int32_t>(begin));
    writer.append(ids);
    const ShardHeader header = writer.finish();
    entry.shards.push_back({file, header.n_tokens, 0, header.checksum});
  }
  entry.tokens = tokens;
  return entry;
}

// A data set of `tokens` training tokens that count up from `first`.
inline void write_counting_dataset(const std::filesystem::path& directory, uint64_t tokens,
                                   int32_t first, const CountingOptions& options = {}) {
  std::filesystem::create_directories(directory);
  DatasetManifest manifest;
  manifest.vocab_size = options.vocab_size;
  manifest.tokenizer_fingerprint = options.tokenizer_fingerprint;
  manifest.bos = options.bos;
  manifest.train = write_counting(directory, "train", tokens, first, options);
  manifest.validation = write_counting(directory, "val", options.validation_tokens, first, options);
  write_manifest(directory, manifest);
}

inline TokenDataset counting_split(const std::filesystem::path& directory, uint64_t tokens,
                                   int32_t first = 0) {
  write_counting_dataset(directory, tokens, first);
  return TokenDataset::open(directory, Split::kTrain);
}

}  // namespace tercet::testing
