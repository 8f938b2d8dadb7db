// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "learn/data/document_source.h"

namespace tercet {

// Between two pieces of a corpus.
struct CorpusPosition {
  size_t file = 0;         // index of the file of the next piece
  uint64_t pieces = 0;     // of that file, before the next
  uint64_t documents = 0;  // that end in earlier files
};

// Streams the documents of a corpus: the files of `inputs` in the order given, directories walked
// recursively in sorted order (hidden files and linked directories skipped). Each may be packed
// (.gz, .zst):
//   *.jsonl, *.json   one document per line, the string in the field `text_field`
//   anything else     plain text, one document per file, or several divided by <|endoftext|>
// CRLF and invalid UTF-8 pass unchanged; a byte order mark at the start of a file is dropped;
// documents of nothing but white space are left out. Memory use does not depend on the corpus.
class CorpusReader {
 public:
  // Throws kIo when an input is missing, kBadInput when the inputs hold no file.
  explicit CorpusReader(const std::vector<std::filesystem::path>& inputs,
                        const CorpusOptions& options = {});

  // The next piece of text; false after the last. Throws kBadInput naming file (and line) when a
  // file is damaged or binary, a JSON line is invalid or lacks the field, or when the whole corpus
  // held no document.
  bool next(DocumentPiece& piece);

  // What next() has come to, and back to the begin of the file of such a position: its pieces
  // are to be read again.
  CorpusPosition position() const { return {file_, pieces_, documents_before_file_}; }
  void go_to_file(const CorpusPosition& position);
  // A hash of the files' names, sizes and times of change.
  uint64_t fingerprint() const;

  // Documents whose last piece has been delivered.
  uint64_t documents() const { return documents_; }
  // Bytes as stored (before unpacking), for progress.
  uint64_t stored_bytes_read() const;
  uint64_t stored_bytes_total() const { return total_bytes_; }

 private:
  std::vector<std::filesystem::path> files_;
  CorpusOptions options_;
  std::unique_ptr<DocumentSource> current_;
  size_t file_ = 0;      // the current one, or the next when there is none
  uint64_t pieces_ = 0;  // of it that have been delivered
  uint64_t documents_ = 0;
  uint64_t documents_before_file_ = 0;
  uint64_t finished_bytes_ = 0;  // of the files before it
  uint64_t total_bytes_ = 0;
};

}  // namespace tercet
