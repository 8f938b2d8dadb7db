// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "learn/nn/documents.h"

namespace tercet::learn {

// Parts of sequences that attend within themselves and whose products are taken together: padded to
// one length, they are a plain batch.
struct SpanGroup {
  int64_t length = 0;       // of each with its padding
  std::vector<Span> spans;  // the rows of each
  // Where the group begins in a tensor of the padded rows of all groups, and in one of their
  // probabilities, of one head.
  int64_t first_row = 0;
  int64_t first_probability = 0;

  int64_t count() const { return static_cast<int64_t>(spans.size()); }
  bool is_padded() const;
};

struct SpanLayout {
  std::vector<SpanGroup> groups;
  // What tensors of all groups are to hold. With documents that is one size, whatever they are, so
  // that the memory of one step serves the next (tensor_memory.h); what is not used of it is never
  // touched.
  int64_t rows = 0;
  int64_t probabilities = 0;
};

// The sequences of a batch as one group, without padding.
SpanLayout sequence_layout(int64_t batch, int64_t length);

// The documents of such a batch in groups of few shapes: lengths are rounded up by less than a
// sixteenth, or less than 16, and short documents are taken 1, 2, 4, 8, ... at a time. Documents
// come in every length, and libtorch's matrix products prepare themselves anew for each shape,
// which costs more than so much padding.
SpanLayout document_layout(const std::vector<Span>& spans, int64_t batch, int64_t length);

}  // namespace tercet::learn
