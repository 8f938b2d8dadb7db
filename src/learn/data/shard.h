// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "core/random_access_file.h"
#include "learn/data/hash.h"
#include "learn/data/partial_file.h"

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

// How far a shard has been written.
struct ShardProgress {
  uint64_t n_tokens = 0;
  uint64_t n_documents = 0;
  uint64_t checksum = 0;  // of the tokens so far
};

// Writes one shard front to back, under the name PATH.partial before finish().
class ShardWriter {
 public:
  ShardWriter(const std::filesystem::path& path, uint32_t vocab_size,
              uint64_t tokenizer_fingerprint);
  // Goes on with a shard of an earlier process from what its flush() returned; what it wrote after
  // that is dropped. Throws kBadInput naming the file when that is not what lies there.
  ShardWriter(const std::filesystem::path& path, uint32_t vocab_size,
              uint64_t tokenizer_fingerprint, const ShardProgress& progress);

  // Every id in [0, vocab_size); throws kInternal otherwise.
  void append(std::span<const int32_t> ids);
  void end_document() { ++header_.n_documents; }
  uint64_t n_tokens() const { return header_.n_tokens; }
  // To the disk. Throws kIo when it is full.
  ShardProgress flush();
  // Flushes to the disk and renames. Throws kIo when it is full.
  ShardHeader finish();

 private:
  void write_buffer();
  void check_written(const std::filesystem::path& file) const;

  PartialFile file_;
  ShardHeader header_;
  Fnv1a64 checksum_;
  std::vector<uint8_t> buffer_;
};

// A shard on the disk, open for reading windows anywhere in it; safe to share between threads. Each
// read is a system call of its own instead of an access to mapped memory: windows lie at random
// places of files that may be larger than the memory, so nothing is gained by mapping them, while a
// failing disk or a file that is cut would end the process by a signal instead of an error that
// names the shard. The header is checked against the file's size on opening; ids are checked as
// they are read, so that a damaged file cannot give an id outside the vocabulary.
class ShardReader {
 public:
  // Throws kIo when unreadable, kBadInput or kUnsupported naming file and field otherwise.
  explicit ShardReader(const std::filesystem::path& path);

  const ShardHeader& header() const { return header_; }
  const std::filesystem::path& path() const { return file_.path(); }
  uint64_t size() const { return header_.n_tokens; }
  uint64_t file_bytes() const { return file_.size(); }
  int64_t modified_ns() const { return file_.modified_ns(); }  // since 1970, when it was opened

  // The id at `index` < size().
  int32_t token(uint64_t index) const;
  // Ids [begin, begin + count) into `out`. Throws kBadInput naming the file for an id >=
  // vocab_size or when the file has been cut or written to since it was opened, kIo when the disk
  // fails, kInternal for a range outside [0, size()).
  void copy(uint64_t begin, uint64_t count, int64_t* out) const;
  // Lets the system begin to fetch those ids; returns at once.
  void will_need(uint64_t begin, uint64_t count) const;
  // Reads every byte; throws kBadInput when the checksum differs, kInterrupted when *stop (may be
  // null) becomes true.
  void verify(const std::atomic<bool>* stop = nullptr) const;

 private:
  RandomAccessFile file_;
  ShardHeader header_;
};

}  // namespace tercet
