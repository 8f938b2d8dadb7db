// SPDX-License-Identifier: Apache-2.0
#include "learn/data/split_writer.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace tercet {

SplitWriter::SplitWriter(std::filesystem::path directory, std::string name, uint32_t vocab_size,
                         uint64_t tokenizer_fingerprint, uint64_t shard_tokens)
    : directory_(std::move(directory)),
      name_(std::move(name)),
      vocab_size_(vocab_size),
      fingerprint_(tokenizer_fingerprint),
      shard_tokens_(shard_tokens) {}

SplitWriter::~SplitWriter() {
  if (kept_) return;
  for (const ShardEntry& shard : entry_.shards) {
    std::error_code ignored;
    std::filesystem::remove(directory_ / shard.file, ignored);
  }
}

void SplitWriter::append(std::span<const int32_t> ids) {
  entry_.tokens += ids.size();
  while (!ids.empty()) {
    if (shard_ && shard_->n_tokens() == shard_tokens_) finish_shard();
    if (!shard_) {
      const std::string file = fmt::format("{}-{:05}.bin", name_, entry_.shards.size());
      shard_.emplace(directory_ / file, vocab_size_, fingerprint_);
    }
    const uint64_t room = shard_tokens_ - shard_->n_tokens();
    const size_t count = std::min<uint64_t>(room, ids.size());
    shard_->append(ids.first(count));
    ids = ids.subspan(count);
  }
}

void SplitWriter::end_document() {
  ++entry_.documents;
  shard_->end_document();
}

void SplitWriter::finish_shard() {
  const ShardHeader header = shard_->finish();
  entry_.shards.push_back({fmt::format("{}-{:05}.bin", name_, entry_.shards.size()),
                           header.n_tokens, header.n_documents, header.checksum});
  shard_.reset();
}

const SplitEntry& SplitWriter::finish() {
  if (shard_) finish_shard();
  return entry_;
}

}  // namespace tercet
