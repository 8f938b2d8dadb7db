// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/access.h"

#include <algorithm>
#include <charconv>

#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/unicode.h"

namespace tercet::jinja {
namespace {

Value missing(const Value& object, std::string_view name) {
  return Value::undefined(
      fmt::format("'{} object' has no attribute '{}'", object.type_name(), name.substr(0, 80)));
}

Value character_at(Context& context, const Text& text, int64_t index) {
  context.read(text.size());
  const auto count = static_cast<int64_t>(character_count(text.bytes()));
  if (index < 0) index += count;
  if (index < 0 || index >= count) return Value::undefined("a string index is out of range");
  const size_t begin = character_offset(text.bytes(), static_cast<size_t>(index));
  size_t end = begin;
  next_character(text.bytes(), end);
  return context.string(text.slice(begin, end));
}

Value item_at(const List& list, int64_t index) {
  const int64_t count = std::ssize(list.items);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return Value::undefined("a list index is out of range");
  return list.items[static_cast<size_t>(index)];
}

// The places that a slice of `count` items takes, as Python counts them.
struct Places {
  int64_t begin;
  int64_t end;
  int64_t step;
};
Places slice_places(int64_t count, std::optional<int64_t> begin, std::optional<int64_t> end,
                    int64_t step) {
  const int64_t lowest = step > 0 ? 0 : -1;
  const int64_t highest = step > 0 ? count : count - 1;
  const auto place = [&](std::optional<int64_t> asked, int64_t fallback) {
    if (!asked) return fallback;
    const int64_t from_front = *asked < 0 ? *asked + count : *asked;
    return std::clamp(from_front, lowest, highest);
  };
  return {place(begin, step > 0 ? lowest : highest), place(end, step > 0 ? highest : lowest), step};
}

template <typename Take>
void for_each_place(Context& context, const Places& places, const Take& take) {
  // Steps beyond the number of items would overflow, and end the walk at once anyway.
  constexpr int64_t kFarthest = int64_t{1} << 40;
  const int64_t step = std::clamp(places.step, -kFarthest, kFarthest);
  for (int64_t i = places.begin; step > 0 ? i < places.end : i > places.end; i += step) {
    context.step();
    take(static_cast<size_t>(i));
  }
}

Value slice_text(Context& context, const Text& text, const Places& places) {
  context.read(text.size());
  if (places.step == 1) {
    const auto begin = static_cast<size_t>(places.begin);
    const auto end = static_cast<size_t>(std::max(places.begin, places.end));
    const size_t first = character_offset(text.bytes(), begin);
    const size_t last =
        first + character_offset(std::string_view(text.bytes()).substr(first), end - begin);
    context.allocate(last - first);
    return context.string(text.slice(first, last));
  }
  std::vector<size_t> starts;
  context.allocate(text.size() * sizeof(size_t));
  for (size_t position = 0; position < text.size(); next_character(text.bytes(), position)) {
    starts.push_back(position);
  }
  starts.push_back(text.size());
  TextBuilder out(context);
  for_each_place(context, places, [&](size_t i) { out.append(text, starts[i], starts[i + 1]); });
  return context.string(out.take());
}

}  // namespace

Value get_attribute(Context& context, const Value& object, const std::string& name) {
  context.require_defined(object);
  Value method = find_method(context, object, name);
  if (!method.is_undefined()) return method;
  if (const Map* map = object.map()) {
    if (const Value* member = map->find(name)) return *member;
  }
  return missing(object, name);
}

Value get_item(Context& context, const Value& object, const Value& index) {
  context.require_defined(object);
  const List* list = object.list();
  if (const Map* map = object.map()) {
    if (const Value* member = map->find(index)) return *member;
  } else if (index.integer() && list != nullptr && list->is_sequence()) {
    return item_at(*list, *index.integer());
  } else if (index.integer() && object.string() != nullptr) {
    return character_at(context, *object.string(), *index.integer());
  }
  if (index.string() == nullptr) return missing(object, index.type_name());
  Value method = find_method(context, object, index.string()->bytes());
  return method.is_undefined() ? missing(object, index.string()->bytes()) : method;
}

Value get_slice(Context& context, const Value& object, std::optional<int64_t> begin,
                std::optional<int64_t> end, std::optional<int64_t> step) {
  context.require_defined(object);
  if (step.value_or(1) == 0) context.fail("the step of a slice is 0");
  if (const Text* text = object.string()) {
    const auto count = static_cast<int64_t>(character_count(text->bytes()));
    return slice_text(context, *text, slice_places(count, begin, end, step.value_or(1)));
  }
  const List* list = object.list();
  if (list == nullptr || !list->is_sequence()) return missing(object, "[:]");
  std::vector<Value> items;
  for_each_place(context, slice_places(std::ssize(list->items), begin, end, step.value_or(1)),
                 [&](size_t i) { items.push_back(list->items[i]); });
  return context.list(std::move(items), list->flavor);
}

Value get_path(Context& context, const Value& object, const Value& path) {
  if (path.string() == nullptr) return get_item(context, object, path);
  Value value = object;
  std::string_view rest = path.string()->bytes();
  while (true) {
    const size_t dot = rest.find('.');
    const std::string_view name = rest.substr(0, dot);
    int64_t number = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool is_number = parsed.ec == std::errc() && parsed.ptr == name.data() + name.size();
    context.step();
    value = get_item(context, value, is_number ? Value(number) : Value(std::string(name)));
    if (dot == std::string_view::npos) return value;
    rest.remove_prefix(dot + 1);
  }
}

std::vector<Value> items_of(Context& context, const Value& value) {
  std::vector<Value> items;
  if (const List* list = value.list()) {
    const auto source = list->iterate();
    context.step(1 + source.size() / 8);
    context.allocate(source.size() * sizeof(Value));
    items.assign(source.begin(), source.end());
  } else if (const Map* map = value.map()) {
    context.allocate(map->entries().size() * sizeof(Value));
    for (const auto& [key, member] : map->entries()) items.push_back(key);
  } else if (const Text* text = value.string()) {
    for (size_t position = 0; position < text->size();) {
      const size_t begin = position;
      next_character(text->bytes(), position);
      context.allocate(sizeof(Value));
      context.step();
      items.push_back(context.string(text->slice(begin, position)));
    }
  } else if (!value.is_undefined()) {
    context.fail("'{}' cannot be iterated over", value.type_name());
  }
  return items;
}

std::optional<int64_t> length_of(Context& context, const Value& value) {
  if (value.is_undefined()) return 0;
  if (const Text* text = value.string()) {
    context.read(text->size());
    return static_cast<int64_t>(character_count(text->bytes()));
  }
  if (const Map* map = value.map()) return std::ssize(map->entries());
  const List* list = value.list();
  if (list == nullptr || list->flavor == List::Flavor::kIterator) return std::nullopt;
  return std::ssize(list->items);
}

}  // namespace tercet::jinja
