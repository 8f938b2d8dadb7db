// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/text_range.h"

namespace tercet::jinja {

// Who wrote a stretch of text: the template, or the messages and variables it was given.
enum class Origin : unsigned char { kTemplate, kData };

// UTF-8 text that remembers for every byte where it came from, through slicing and joining. So the
// tokenizer can refuse to see special tokens in what a user typed.
class Text {
 public:
  Text() = default;
  explicit Text(std::string bytes, Origin origin = Origin::kTemplate) : bytes_(std::move(bytes)) {
    if (origin == Origin::kData && !bytes_.empty()) data_.push_back({0, bytes_.size()});
  }

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // The stretches that are data; ascending, not empty, not touching each other.
  const std::vector<TextRange>& data_ranges() const { return data_; }

  // kData when any byte is data.
  Origin origin() const { return data_.empty() ? Origin::kTemplate : Origin::kData; }
  // Of the byte at `position`. O(log ranges).
  Origin origin_at(size_t position) const;

  void append(std::string_view bytes, Origin origin);
  void append(const Text& text) { append(text, 0, text.size()); }
  // Bytes [begin, end) of `text`, which may not be this one.
  void append(const Text& text, size_t begin, size_t end);
  Text slice(size_t begin, size_t end) const;

 private:
  void mark(size_t begin, size_t end);
  // The first range that ends behind `position`.
  std::vector<TextRange>::const_iterator first_behind(size_t position) const;

  std::string bytes_;
  std::vector<TextRange> data_;
};

}  // namespace tercet::jinja
