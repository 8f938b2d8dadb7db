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

std::filesystem::path SplitWriter::shard_path(size_t index) const {
  return directory_ / fmt::format("{}-{:05}.bin", name_, index);
}

void SplitWriter::resume(const SplitProgress& progress) {
  entry_ = progress.entry;
  for (size_t i = 0; i < entry_.shards.size(); ++i) {
    const ShardReader shard(shard_path(i));
    if (shard.header().checksum == entry_.shards[i].checksum) continue;
    fail(ErrorCode::kBadInput, "'{}' is not what an earlier build wrote", shard.path().string());
  }
  if (progress.shard) {
    shard_.emplace(shard_path(entry_.shards.size()), vocab_size_, fingerprint_, *progress.shard);
  }
}

void SplitWriter::append(std::span<const int32_t> ids) {
  entry_.tokens += ids.size();
  while (!ids.empty()) {
    if (shard_ && shard_->n_tokens() == shard_tokens_) finish_shard();
    if (!shard_) shard_.emplace(shard_path(entry_.shards.size()), vocab_size_, fingerprint_);
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
  entry_.shards.push_back({shard_path(entry_.shards.size()).filename().string(), header.n_tokens,
                           header.n_documents, header.checksum});
  shard_.reset();
}

SplitProgress SplitWriter::flush() {
  SplitProgress progress;
  progress.entry = entry_;
  if (shard_) progress.shard = shard_->flush();
  return progress;
}

const SplitEntry& SplitWriter::finish() {
  if (shard_) finish_shard();
  return entry_;
}

void SplitWriter::discard() {
  std::error_code ignored;
  for (size_t i = 0; i <= entry_.shards.size(); ++i) {
    std::filesystem::remove(shard_path(i), ignored);
    std::filesystem::remove(PartialFile::partial_name(shard_path(i)), ignored);
  }
}

}  // namespace tercet
