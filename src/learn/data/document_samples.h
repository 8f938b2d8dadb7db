// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "learn/data/dataset.h"

namespace tercet {

// The begin of a document of a split.
struct DocumentSample {
  std::vector<int32_t> ids;  // at most as many as asked for; EOS not among them
  uint64_t tokens = 0;       // of the whole document, EOS included
};

// The first `count` documents of a split, or as many as there are, each up to `most_ids` tokens.
// Reads as far as they go.
std::vector<DocumentSample> first_documents(const TokenDataset& split, int32_t eos_id, size_t count,
                                            size_t most_ids);

}  // namespace tercet
