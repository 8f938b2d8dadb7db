// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/text.h"

#include <algorithm>

namespace tercet::jinja {

std::vector<TextRange>::const_iterator Text::first_behind(size_t position) const {
  return std::partition_point(data_.begin(), data_.end(),
                              [&](const TextRange& range) { return range.end <= position; });
}

Origin Text::origin_at(size_t position) const {
  const auto range = first_behind(position);
  return range != data_.end() && range->begin <= position ? Origin::kData : Origin::kTemplate;
}

void Text::mark(size_t begin, size_t end) {
  if (begin == end) return;
  if (!data_.empty() && data_.back().end == begin) {
    data_.back().end = end;
  } else {
    data_.push_back({begin, end});
  }
}

void Text::append(std::string_view bytes, Origin origin) {
  const size_t begin = bytes_.size();
  bytes_ += bytes;
  if (origin == Origin::kData) mark(begin, bytes_.size());
}

void Text::append(const Text& text, size_t begin, size_t end) {
  const size_t start = bytes_.size();
  bytes_.append(text.bytes_, begin, end - begin);
  for (auto range = text.first_behind(begin); range != text.data_.end() && range->begin < end;
       ++range) {
    mark(start + std::max(range->begin, begin) - begin, start + std::min(range->end, end) - begin);
  }
}

Text Text::slice(size_t begin, size_t end) const {
  Text out;
  out.append(*this, begin, end);
  return out;
}

}  // namespace tercet::jinja
