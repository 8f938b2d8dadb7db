// SPDX-License-Identifier: Apache-2.0
#include "learn/data/dataset.h"

#include <algorithm>

#include "core/error.h"

namespace tercet {

TokenDataset TokenDataset::open(const std::filesystem::path& directory, Split split) {
  TokenDataset dataset;
  dataset.directory_ = directory;
  dataset.manifest_ = read_manifest(directory);
  dataset.split_ = split;
  for (const ShardEntry& entry : dataset.entry().shards) {
    const ShardReader& shard = dataset.shards_.emplace_back(directory / entry.file);
    const ShardHeader& header = shard.header();
    const char* differs = header.n_tokens != entry.tokens                     ? "size"
                          : header.vocab_size != dataset.manifest_.vocab_size ? "vocabulary"
                          : header.tokenizer_fingerprint != dataset.manifest_.tokenizer_fingerprint
                              ? "tokenizer"
                          : header.checksum != entry.checksum ? "checksum"
                                                              : nullptr;
    if (differs != nullptr) {
      fail(ErrorCode::kBadInput,
           "'{}' is not the shard that {} lists: its {} differs; build the "
           "data set again",
           shard.path().string(), kManifestName, differs);
    }
    dataset.starts_.push_back(dataset.size() + header.n_tokens);
  }
  return dataset;
}

const SplitEntry& TokenDataset::entry() const {
  return split_ == Split::kTrain ? manifest_.train : manifest_.validation;
}

template <typename Use>
void TokenDataset::for_parts(uint64_t begin, uint64_t count, const Use& use) const {
  if (begin > size() || count > size() - begin) {
    fail(ErrorCode::kInternal, "tokens [{}, {} + {}) of a split of {}", begin, begin, count,
         size());
  }
  auto shard = static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), begin) -
                                   starts_.begin()) -
               1;
  while (count != 0) {
    const uint64_t here = std::min(count, starts_[shard + 1] - begin);
    use(shards_[shard], begin - starts_[shard], here);
    begin += here;
    count -= here;
    ++shard;
  }
}

void TokenDataset::copy(uint64_t begin, uint64_t count, int64_t* out) const {
  for_parts(begin, count, [&](const ShardReader& shard, uint64_t first, uint64_t here) {
    shard.copy(first, here, out);
    out += here;
  });
}

void TokenDataset::will_need(uint64_t begin, uint64_t count) const {
  for_parts(begin, count, [](const ShardReader& shard, uint64_t first, uint64_t here) {
    shard.will_need(first, here);
  });
}

void TokenDataset::verify() const {
  for (const ShardReader& shard : shards_) shard.verify();
}

}  // namespace tercet
