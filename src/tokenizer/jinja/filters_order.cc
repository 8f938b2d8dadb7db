// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/text_operations.h"

namespace tercet::jinja {
namespace {

// What an item is ordered by: itself or an attribute, strings in lower case unless told otherwise.
struct SortKey {
  bool case_sensitive = false;
  std::vector<Value> paths;  // none: the item itself

  Value one(Context& context, Value value) const {
    if (case_sensitive || value.string() == nullptr) return value;
    return context.string(change_case(context, *value.string(), Case::kLower));
  }
  Value of(Context& context, const Value& item) const {
    if (paths.empty()) return one(context, item);
    if (paths.size() == 1) return one(context, get_path(context, item, paths.front()));
    std::vector<Value> parts;
    for (const Value& path : paths) parts.push_back(one(context, get_path(context, item, path)));
    return context.list(std::move(parts));
  }
};

SortKey take_sort_key(Call& call, bool several) {
  SortKey key;
  key.case_sensitive = call.take_boolean("case_sensitive", false);
  const Value* attribute = call.take("attribute");
  if (attribute == nullptr || attribute->is_none()) return key;
  if (several && attribute->string() != nullptr) {
    const Text comma(",");
    key.paths = split(call.context, *attribute->string(), &comma, -1);
  } else {
    key.paths = {*attribute};
  }
  return key;
}

std::vector<Value> keys_of(Context& context, const std::vector<Value>& items, const SortKey& key) {
  std::vector<Value> keys;
  keys.reserve(items.size());
  for (const Value& item : items) keys.push_back(key.of(context, item));
  return keys;
}

// The items in the order of their keys; equal ones stay in their order, as in Python.
std::vector<Value> sorted(Context& context, const std::vector<Value>& items,
                          const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(items.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return reverse ? less(context, keys[b], keys[a]) : less(context, keys[a], keys[b]);
  });
  std::vector<Value> out;
  out.reserve(items.size());
  for (const size_t place : order) out.push_back(items[place]);
  return out;
}

Value extreme(Call& call, bool largest) {
  const SortKey key = take_sort_key(call, false);
  call.done();
  const std::vector<Value> items = items_of(call.context, call.self);
  if (items.empty()) {
    return Value::undefined(fmt::format("{}: the sequence is empty", call.name));
  }
  const std::vector<Value> keys = keys_of(call.context, items, key);
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    const bool better =
        largest ? less(call.context, keys[best], keys[i]) : less(call.context, keys[i], keys[best]);
    if (better) best = i;
  }
  return items[best];
}

}  // namespace

Value filter_sort(Call& call) {
  const bool reverse = call.take_boolean("reverse", false);
  const SortKey key = take_sort_key(call, true);
  call.done();
  const std::vector<Value> items = items_of(call.context, call.self);
  const std::vector<Value> keys = keys_of(call.context, items, key);
  return call.context.list(sorted(call.context, items, keys, reverse));
}

Value filter_unique(Call& call) {
  const SortKey key = take_sort_key(call, false);
  call.done();
  Map seen;
  std::vector<Value> out;
  for (const Value& item : items_of(call.context, call.self)) {
    const Value id = key.of(call.context, item);
    if (seen.find(id) != nullptr) continue;
    if (!seen.set(id, Value(true))) {
      call.context.fail("unique: a '{}' cannot be compared", id.type_name());
    }
    out.push_back(item);
  }
  return call.context.list(std::move(out), List::Flavor::kIterator);
}

Value filter_min(Call& call) { return extreme(call, false); }
Value filter_max(Call& call) { return extreme(call, true); }

Value filter_dictsort(Call& call) {
  SortKey key;
  key.case_sensitive = call.take_boolean("case_sensitive", false);
  const Text* by = call.take_string("by");
  const bool reverse = call.take_boolean("reverse", false);
  call.done();
  const bool by_value = by != nullptr && by->bytes() == "value";
  if (by != nullptr && !by_value && by->bytes() != "key") {
    call.context.fail("dictsort: 'by' must be \"key\" or \"value\"");
  }
  const Map* map = call.self.map();
  if (map == nullptr) call.context.fail("dictsort: '{}' is no mapping", call.self.type_name());
  key.paths = {Value(int64_t{by_value ? 1 : 0})};
  std::vector<Value> pairs;
  for (const auto& [name, value] : map->entries()) {
    pairs.push_back(call.context.list({name, value}, List::Flavor::kTuple));
  }
  const std::vector<Value> keys = keys_of(call.context, pairs, key);
  return call.context.list(sorted(call.context, pairs, keys, reverse));
}

}  // namespace tercet::jinja
