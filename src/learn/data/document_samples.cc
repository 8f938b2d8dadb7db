// SPDX-License-Identifier: Apache-2.0
#include "learn/data/document_samples.h"

#include <algorithm>

namespace tercet {

std::vector<DocumentSample> first_documents(const TokenDataset& split, int32_t eos_id, size_t count,
                                            size_t most_ids) {
  constexpr uint64_t kBlock = 4096;
  std::vector<DocumentSample> documents;
  DocumentSample current;
  std::vector<int64_t> block;
  for (uint64_t begin = 0; begin < split.size() && documents.size() < count; begin += kBlock) {
    block.resize(std::min(kBlock, split.size() - begin));
    split.copy(begin, block.size(), block.data());
    for (const int64_t id : block) {
      ++current.tokens;
      if (id != eos_id) {
        if (current.ids.size() < most_ids) current.ids.push_back(static_cast<int32_t>(id));
        continue;
      }
      if (documents.size() == count) break;
      documents.push_back(std::move(current));
      current = {};
    }
  }
  return documents;
}

}  // namespace tercet
