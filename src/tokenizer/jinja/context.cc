// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/context.h"

#include <algorithm>

namespace tercet::jinja {

// All namespaces are alive until the last one is empty, so that emptying one cannot end a long
// chain of others inside each other.
Context::~Context() {
  for (const auto& space : namespaces_) space->attributes.clear();
}

// Messages may hold text of the template: one line of it, without control characters.
void Context::raise(ErrorCode code, const std::string& message) const {
  constexpr size_t kLongest = 400;
  std::string line = message.substr(0, kLongest);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  tercet::fail(code, "{}: line {}: {}", origin_, line_, line);
}

void Context::require_defined(const Value& value) const {
  if (value.is_undefined()) fail("{}", value.undefined_reason());
}

void Context::step(uint64_t count) {
  steps_ += count;
  if (steps_ > limits_.max_steps) {
    fail("the template takes more than max_steps = {} steps", limits_.max_steps);
  }
}

void Context::allocate(size_t bytes) {
  if (bytes > limits_.max_memory_bytes - std::min(allocated_, limits_.max_memory_bytes)) {
    fail("the template uses more than max_memory_bytes = {} bytes", limits_.max_memory_bytes);
  }
  allocated_ += bytes;
}

void Context::check_items(size_t count) const {
  if (count > limits_.max_collection_items) {
    fail("a list or mapping has more than max_collection_items = {} items",
         limits_.max_collection_items);
  }
}

void Context::check_nesting(int nesting) const {
  if (nesting > limits_.max_nesting) {
    fail("lists and mappings lie in each other more than max_nesting = {} deep",
         limits_.max_nesting);
  }
}

void Context::enter() {
  if (depth_ >= limits_.max_depth) {
    fail("evaluation is nested more than max_depth = {} deep", limits_.max_depth);
  }
  ++depth_;
}

Value Context::string(Text text) {
  allocate(sizeof(Text) + text.data_ranges().size() * sizeof(TextRange));
  return Value(std::move(text));
}

Value Context::list(std::vector<Value> items, List::Flavor flavor) {
  check_items(items.size());
  allocate(sizeof(List) + items.size() * sizeof(Value));
  int nesting = 1;
  for (const Value& item : items) nesting = std::max(nesting, 1 + item.nesting());
  check_nesting(nesting);
  return Value(std::shared_ptr<const List>(
      std::make_shared<List>(List{std::move(items), flavor, nesting, false})));
}

Value Context::map(Map entries) {
  constexpr size_t kEntryBytes = sizeof(Map::Entry) + 96;  // the entry and its place in the index
  check_items(entries.entries().size());
  allocate(sizeof(Map) + entries.entries().size() * kEntryBytes);
  check_nesting(entries.nesting());
  return Value(std::shared_ptr<const Map>(std::make_shared<Map>(std::move(entries))));
}

Value Context::adopt(std::shared_ptr<Namespace> space) {
  allocate(sizeof(Namespace) + space->attributes.size() * sizeof(Value));
  namespaces_.push_back(space);
  return Value(std::move(space));
}

}  // namespace tercet::jinja
