// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace tercet {

struct CorpusOptions {
  std::string text_field = "text";           // of JSON lines
  size_t piece_bytes = size_t{256} << 10;    // aim for the pieces of long documents; at least 64
  size_t max_line_bytes = size_t{64} << 20;  // longest JSON line
};

// A document, or a part of a long one. The pieces of a document follow each other; all but the
// first continue the text (white space at a cut opens the later piece).
struct DocumentPiece {
  std::string text;
  bool first = true;  // begins a document
  bool last = true;   // ends it
};

// The documents of one file.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // False after the last piece. Throws kBadInput naming the file, and the line where there is one.
  virtual bool next(DocumentPiece& piece) = 0;
  virtual uint64_t stored_bytes_read() const = 0;
};

std::unique_ptr<DocumentSource> open_text_documents(const std::filesystem::path& path,
                                                    const CorpusOptions& options);
std::unique_ptr<DocumentSource> open_json_lines(const std::filesystem::path& path,
                                                const CorpusOptions& options);

// Where to cut `text`, which continues: before its last run of white space (of line ends by
// preference), else between characters. In [1, text.size()] for a text that is not empty.
size_t cut_position(std::string_view text);

// Whether `text` has nothing but spaces, tabs and line ends.
bool is_blank(std::string_view text);

}  // namespace tercet
