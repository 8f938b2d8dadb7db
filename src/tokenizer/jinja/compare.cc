// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/compare.h"

#include <algorithm>
#include <cstring>

namespace tercet::jinja {
namespace {

bool equal_lists(Context& context, const List& a, const List& b) {
  if (a.flavor != b.flavor || a.items.size() != b.items.size()) return false;
  if (a.flavor == List::Flavor::kIterator) return &a == &b;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!equals(context, a.items[i], b.items[i])) return false;
  }
  return true;
}

bool equal_maps(Context& context, const Map& a, const Map& b) {
  if (a.entries().size() != b.entries().size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.find(key);
    if (other == nullptr || !equals(context, value, *other)) return false;
  }
  return true;
}

bool less_lists(Context& context, const List& a, const List& b) {
  const size_t shared = std::min(a.items.size(), b.items.size());
  for (size_t i = 0; i < shared; ++i) {
    if (!equals(context, a.items[i], b.items[i])) return less(context, a.items[i], b.items[i]);
  }
  return a.items.size() < b.items.size();
}

}  // namespace

bool equals(Context& context, const Value& a, const Value& b) {
  context.step();
  if (a.integer() && b.integer()) return *a.integer() == *b.integer();
  if (a.number() && b.number()) return *a.number() == *b.number();
  if (a.string() != nullptr && b.string() != nullptr) {
    context.read(a.string()->size());
    return a.string()->bytes() == b.string()->bytes();
  }
  if (a.list() != nullptr && b.list() != nullptr) return equal_lists(context, *a.list(), *b.list());
  if (a.map() != nullptr && b.map() != nullptr) return equal_maps(context, *a.map(), *b.map());
  if (a.name_space() != nullptr) return a.name_space() == b.name_space();
  if (a.function() != nullptr) return a.function() == b.function();
  if (a.loop() != nullptr) return a.loop() == b.loop();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

bool less(Context& context, const Value& a, const Value& b) {
  context.step();
  context.require_defined(a);
  context.require_defined(b);
  if (a.integer() && b.integer()) return *a.integer() < *b.integer();
  if (a.number() && b.number()) return *a.number() < *b.number();
  if (a.string() != nullptr && b.string() != nullptr) {
    context.read(a.string()->size());
    return a.string()->bytes() < b.string()->bytes();
  }
  const List* left = a.list();
  const List* right = b.list();
  if (left != nullptr && right != nullptr && left->flavor == right->flavor &&
      left->flavor <= List::Flavor::kTuple) {
    return less_lists(context, *left, *right);
  }
  context.fail("'{}' and '{}' cannot be ordered", a.type_name(), b.type_name());
}

bool contains(Context& context, const Value& container, const Value& item) {
  if (const Text* text = container.string()) {
    const Text* part = item.string();
    if (part == nullptr) {
      context.fail("'in' of a string needs a string, not '{}'", item.type_name());
    }
    return find_text(context, text->bytes(), part->bytes()) != std::string_view::npos;
  }
  if (const Map* map = container.map()) return map->find(item) != nullptr;
  if (const List* list = container.list()) {
    for (const Value& candidate : list->iterate()) {
      if (equals(context, candidate, item)) return true;
    }
    return false;
  }
  if (container.is_undefined()) return false;
  context.fail("'in' cannot look into '{}'", container.type_name());
}

size_t find_text(Context& context, std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  // memmem() takes linear time, where a search from every place could take the product.
  const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  const size_t place = found == nullptr
                           ? text.size()
                           : static_cast<size_t>(static_cast<const char*>(found) - text.data());
  context.read(place - from + needle.size());
  return found == nullptr ? std::string_view::npos : place;
}

size_t find_last_text(Context& context, std::string_view text, std::string_view needle,
                      size_t from) {
  // There is no memmem() from behind, so the product is bounded instead.
  constexpr size_t kLongest = 256;
  if (needle.size() > kLongest) {
    context.unsupported("a search from the right for more than {} bytes", kLongest);
  }
  const size_t found = text.rfind(needle, from);
  const size_t place = found == std::string_view::npos ? 0 : found;
  context.read((std::min(from, text.size()) - std::min(place, from)) * (1 + needle.size() / 16));
  return found;
}

}  // namespace tercet::jinja
