// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/json_value.h"

#include <algorithm>
#include <limits>

#include "tokenizer/jinja/unicode.h"

namespace tercet::jinja {

Value make_list(std::vector<Value> items) {
  auto list = std::make_shared<List>();
  for (const Value& item : items) list->nesting = std::max(list->nesting, 1 + item.nesting());
  list->items = std::move(items);
  return Value(std::shared_ptr<const List>(std::move(list)));
}

Value make_map(Map entries) {
  return Value(std::shared_ptr<const Map>(std::make_shared<Map>(std::move(entries))));
}

Value from_json(const nlohmann::ordered_json& json, Origin origin) {
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean:
      return Value(json.get<bool>());
    case nlohmann::ordered_json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case nlohmann::ordered_json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      constexpr auto kLargest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
      if (number <= kLargest) return Value(static_cast<int64_t>(number));
      return Value(static_cast<double>(number));
    }
    case nlohmann::ordered_json::value_t::number_float:
      return Value(json.get<double>());
    case nlohmann::ordered_json::value_t::string:
      return Value(repair_utf8(json.get_ref<const std::string&>()), origin);
    case nlohmann::ordered_json::value_t::array: {
      std::vector<Value> items;
      for (const auto& item : json) items.push_back(from_json(item, origin));
      return make_list(std::move(items));
    }
    case nlohmann::ordered_json::value_t::object: {
      Map map;
      for (const auto& [name, member] : json.items()) {
        map.set(Value(repair_utf8(name), origin), from_json(member, origin));
      }
      return make_map(std::move(map));
    }
    default:
      return Value::none();
  }
}

}  // namespace tercet::jinja
