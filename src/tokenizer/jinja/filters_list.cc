// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/text_operations.h"

namespace tercet::jinja {

Value filter_default(Call& call) {
  const Value* given = call.take("default_value");
  const bool boolean = call.take_boolean("boolean", false);
  call.done();
  const bool missing = call.self.is_undefined() || (boolean && !call.self.truthy());
  if (!missing) return call.self;
  return given == nullptr ? Value(std::string()) : *given;
}

Value filter_length(Call& call) {
  call.done();
  const auto length = length_of(call.context, call.self);
  if (!length) call.context.fail("{}: '{}' has no length", call.name, call.self.type_name());
  return Value(*length);
}

Value filter_list(Call& call) {
  call.done();
  return call.context.list(items_of(call.context, call.self));
}

Value filter_items(Call& call) {
  call.done();
  std::vector<Value> pairs;
  if (const Map* map = call.self.map()) {
    for (const auto& [key, value] : map->entries()) {
      pairs.push_back(call.context.list({key, value}, List::Flavor::kTuple));
    }
  } else if (!call.self.is_undefined()) {
    call.context.fail("items: '{}' is no mapping", call.self.type_name());
  }
  return call.context.list(std::move(pairs), List::Flavor::kIterator);
}

Value filter_first(Call& call) {
  call.done();
  const std::vector<Value> items = items_of(call.context, call.self);
  return items.empty() ? Value::undefined("first: the sequence is empty") : items.front();
}

Value filter_last(Call& call) {
  call.done();
  const List* list = call.self.list();
  if (list != nullptr && list->flavor == List::Flavor::kIterator) {
    call.context.fail("last: a generator has no last item; write '| list' before it");
  }
  const std::vector<Value> items = items_of(call.context, call.self);
  return items.empty() ? Value::undefined("last: the sequence is empty") : items.back();
}

Value filter_reverse(Call& call) {
  call.done();
  if (const Text* text = call.self.string()) {
    return call.context.string(reverse(call.context, *text));
  }
  std::vector<Value> items = items_of(call.context, call.self);
  std::reverse(items.begin(), items.end());
  return call.context.list(std::move(items), List::Flavor::kIterator);
}

Value filter_batch(Call& call) {
  const int64_t size = call.take_integer("linecount", 0);
  const Value* fill = call.take("fill_with");
  call.done();
  if (size < 1) call.context.fail("batch: the size must be 1 or more");
  std::vector<Value> rows;
  std::vector<Value> row;
  for (const Value& item : items_of(call.context, call.self)) {
    if (std::ssize(row) == size) rows.push_back(call.context.list(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    if (fill != nullptr && !fill->is_none()) {
      call.context.check_items(static_cast<size_t>(size));
      row.resize(static_cast<size_t>(size), *fill);
    }
    rows.push_back(call.context.list(std::move(row)));
  }
  return call.context.list(std::move(rows), List::Flavor::kIterator);
}

// Nothing is escaped here, so nothing needs to be marked as safe.
Value filter_safe(Call& call) {
  call.done();
  return call.context.string(call.self_text());
}

}  // namespace tercet::jinja
