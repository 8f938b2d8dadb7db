// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "learn/data/manifest.h"
#include "learn/data/shard.h"

namespace tercet {

// How far a split has been written.
struct SplitProgress {
  SplitEntry entry;                    // the shards that are whole; counts of all that was appended
  std::optional<ShardProgress> shard;  // the one after them
};

// The shards of one split, each of at most `shard_tokens` tokens: NAME-00000.bin and so on.
class SplitWriter {
 public:
  SplitWriter(std::filesystem::path directory, std::string name, uint32_t vocab_size,
              uint64_t tokenizer_fingerprint, uint64_t shard_tokens);

  // Goes on from what flush() returned in an earlier process. Throws kBadInput naming the file that
  // is missing or not what was written. Before anything is appended.
  void resume(const SplitProgress& progress);

  void append(std::span<const int32_t> ids);
  // Counts a document whose tokens, EOS at least, have been appended.
  void end_document();
  void add_bytes(uint64_t bytes) { entry_.bytes += bytes; }
  uint64_t tokens() const { return entry_.tokens; }
  // To the disk, so that another process can go on from here.
  SplitProgress flush();
  // Writes the last shard out.
  const SplitEntry& finish();
  // Removes what has been written.
  void discard();

 private:
  std::filesystem::path shard_path(size_t index) const;
  void finish_shard();

  std::filesystem::path directory_;
  std::string name_;
  uint32_t vocab_size_;
  uint64_t fingerprint_;
  uint64_t shard_tokens_;
  std::optional<ShardWriter> shard_;
  SplitEntry entry_;
};

}  // namespace tercet
