// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

namespace tercet {

// Bytes [begin, end) of a text.
struct TextRange {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const TextRange&) const = default;
};

// The first of `ranges`, which are ascending and apart, that ends behind `position`.
inline std::span<const TextRange>::iterator first_behind(std::span<const TextRange> ranges,
                                                         size_t position) {
  return std::partition_point(ranges.begin(), ranges.end(),
                              [&](const TextRange& range) { return range.end <= position; });
}

// Whether [begin, end) shares a byte with one of them.
inline bool touches_any(std::span<const TextRange> ranges, size_t begin, size_t end) {
  const auto first = first_behind(ranges, begin);
  return first != ranges.end() && first->begin < end;
}

// The bytes from `position` on, of `size`, that none of them holds.
inline size_t free_bytes(std::span<const TextRange> ranges, size_t position, size_t size) {
  const auto first = first_behind(ranges, position);
  const size_t end = first == ranges.end() ? size : std::min(first->begin, size);
  return end > position ? end - position : 0;
}

}  // namespace tercet
