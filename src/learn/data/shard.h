// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "core/file.h"
#include "learn/data/hash.h"

namespace tercet {

// A file of token ids, docs/formats/shards.md: a header of 64 bytes, then the ids, little-endian,
// as uint16 when the vocabulary has at most 65536 entries, else as uint32.
struct ShardHeader {
  uint32_t bytes_per_token = 2;  // 2 or 4
  uint32_t vocab_size = 0;
  uint64_t n_tokens = 0;
  uint64_t n_documents = 0;            // that end in this shard
  uint64_t tokenizer_fingerprint = 0;  // Fnv1a64 of the bytes of its definition (tokenizer_files.h)
  uint64_t checksum = 0;               // Fnv1a64 of the bytes of the tokens
};

// 2 or 4, see above.
uint32_t bytes_per_token(uint32_t vocab_size);

// Writes one shard front to back; nothing appears under its name before finish().
class ShardWriter {
 public:
  ShardWriter(const std::filesystem::path& path, uint32_t vocab_size,
              uint64_t tokenizer_fingerprint);

  // Every id in [0, vocab_size); throws kInternal otherwise.
  void append(std::span<const int32_t> ids);
  void end_document() { ++header_.n_documents; }
  uint64_t n_tokens() const { return header_.n_tokens; }
  // Flushes to the disk and renames. Throws kIo when the disk is full.
  ShardHeader finish();

 private:
  void flush();

  AtomicFile file_;
  ShardHeader header_;
  Fnv1a64 checksum_;
  std::vector<uint8_t> buffer_;
};

// A shard mapped into memory. The header is checked against the file's size on opening; ids are
// checked as they are read, so that a damaged file cannot give an id outside the vocabulary.
class ShardReader {
 public:
  // Throws kIo when unreadable, kBadInput or kUnsupported naming file and field otherwise.
  explicit ShardReader(const std::filesystem::path& path);

  const ShardHeader& header() const { return header_; }
  const std::filesystem::path& path() const { return file_.path(); }
  uint64_t size() const { return header_.n_tokens; }

  // The id at `index` < size().
  int32_t token(uint64_t index) const;
  // Ids [begin, begin + count) into `out`. Throws kBadInput naming the file for an id >=
  // vocab_size, kInternal for a range outside [0, size()).
  void copy(uint64_t begin, uint64_t count, int64_t* out) const;
  // Reads every byte; throws kBadInput when the checksum differs.
  void verify() const;

 private:
  std::span<const uint8_t> token_bytes() const;

  MappedFile file_;
  ShardHeader header_;
};

}  // namespace tercet
