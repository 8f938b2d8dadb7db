// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "formats/support.h"
#include "learn/data/corpus.h"

namespace tercet::testing {

// The documents of a corpus, pieces joined.
inline std::vector<std::string> read_documents(const std::vector<std::filesystem::path>& inputs,
                                               const CorpusOptions& options = {}) {
  CorpusReader reader(inputs, options);
  std::vector<std::string> documents;
  DocumentPiece piece;
  bool inside = false;
  while (reader.next(piece)) {
    EXPECT_EQ(piece.first, !inside);
    if (piece.first) documents.emplace_back();
    documents.back() += piece.text;
    inside = !piece.last;
  }
  EXPECT_FALSE(inside);
  EXPECT_EQ(reader.documents(), documents.size());
  EXPECT_EQ(reader.stored_bytes_read(), reader.stored_bytes_total());
  return documents;
}

// Lines of words, `bytes` long or a little more, that differ with `seed`.
inline std::string some_text(size_t bytes, uint64_t seed) {
  std::string out;
  for (uint64_t i = 0; out.size() < bytes; ++i) {
    out += fmt::format("word{} of document {}{}", i * 7919 % 1009, seed, i % 9 == 8 ? "\n" : " ");
  }
  return out;
}

}  // namespace tercet::testing
