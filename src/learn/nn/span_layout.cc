// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/span_layout.h"

#include <algorithm>
#include <bit>
#include <map>

#include "learn/nn/causal_attention.h"

namespace tercet::learn {
namespace {

constexpr int64_t kLeastStep = 16;
// Longer ones make products of their own that are large enough.
constexpr int64_t kLongestTogether = 128;

int64_t rounded_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

int64_t floor_of_two(int64_t value) {
  return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(value)));
}

int64_t padded(int64_t length, int64_t longest) {
  return std::min(rounded_up(length, std::max(kLeastStep, floor_of_two(length) / 16)), longest);
}

// Appends the spans of one padded length.
void add_groups(SpanLayout& layout, int64_t length, const std::vector<Span>& spans) {
  auto next = spans.begin();
  while (next != spans.end()) {
    const int64_t left = spans.end() - next;
    const int64_t count = length > kLongestTogether ? 1 : floor_of_two(left);
    SpanGroup group;
    group.length = length;
    group.spans.assign(next, next + count);
    layout.groups.push_back(std::move(group));
    next += count;
  }
}

// Lays the groups one after another.
void place(SpanLayout& layout) {
  for (SpanGroup& group : layout.groups) {
    group.first_row = layout.rows;
    group.first_probability = layout.probabilities;
    layout.rows += group.count() * group.length;
    layout.probabilities += group.count() * causal_probabilities(group.length);
  }
}

}  // namespace

bool SpanGroup::is_padded() const {
  return std::any_of(spans.begin(), spans.end(),
                     [this](const Span& span) { return span.length != length; });
}

SpanLayout sequence_layout(int64_t batch, int64_t length) {
  SpanGroup group;
  group.length = length;
  for (int64_t b = 0; b < batch; ++b) group.spans.push_back({b * length, length});
  SpanLayout layout;
  layout.groups.push_back(std::move(group));
  place(layout);
  return layout;
}

SpanLayout document_layout(const std::vector<Span>& spans, int64_t batch, int64_t length) {
  std::map<int64_t, std::vector<Span>> by_length;
  for (const Span& span : spans) by_length[padded(span.length, length)].push_back(span);
  SpanLayout layout;
  for (const auto& [padded_length, members] : by_length) {
    add_groups(layout, padded_length, members);
  }
  place(layout);
  layout.rows = rounded_up(layout.rows, batch * (length + (length + 3) / 4));
  layout.probabilities = rounded_up(layout.probabilities, batch * causal_probabilities(length));
  return layout;
}

}  // namespace tercet::learn
