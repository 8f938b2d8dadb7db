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

// The shards of one split, each of at most `shard_tokens` tokens: NAME-00000.bin and so on. Removes
// what it wrote unless keep() is called.
class SplitWriter {
 public:
  SplitWriter(std::filesystem::path directory, std::string name, uint32_t vocab_size,
              uint64_t tokenizer_fingerprint, uint64_t shard_tokens);
  ~SplitWriter();
  SplitWriter(const SplitWriter&) = delete;
  SplitWriter& operator=(const SplitWriter&) = delete;

  void append(std::span<const int32_t> ids);
  // Counts a document whose tokens, EOS at least, have been appended.
  void end_document();
  void add_bytes(uint64_t bytes) { entry_.bytes += bytes; }
  uint64_t tokens() const { return entry_.tokens; }
  // Writes the last shard out.
  const SplitEntry& finish();
  void keep() { kept_ = true; }

 private:
  void finish_shard();

  std::filesystem::path directory_;
  std::string name_;
  uint32_t vocab_size_;
  uint64_t fingerprint_;
  uint64_t shard_tokens_;
  std::optional<ShardWriter> shard_;
  SplitEntry entry_;
  bool kept_ = false;
};

}  // namespace tercet
