// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/methods.h"

namespace tercet::jinja {
namespace {

constexpr std::string_view kChangingMap = "clear pop popitem setdefault update";
constexpr std::string_view kChangingList = "append clear extend insert pop remove reverse sort";

Value map_get(Call& call) {
  const Value& key = call.require("key");
  const Value* fallback = call.take("default");
  call.done();
  if (const Value* member = call.self.map()->find(key)) return *member;
  return fallback == nullptr ? Value::none() : *fallback;
}

template <List::Flavor flavor>
Value map_view(Call& call) {
  call.done();
  std::vector<Value> items;
  call.context.step(call.self.map()->entries().size());
  for (const auto& [key, value] : call.self.map()->entries()) {
    if (flavor == List::Flavor::kItems) {
      items.push_back(call.context.list({key, value}, List::Flavor::kTuple));
    } else {
      items.push_back(flavor == List::Flavor::kKeys ? key : value);
    }
  }
  return call.context.list(std::move(items), flavor);
}

Value same(Call& call) {
  call.done();
  return call.self;
}

Value list_count(Call& call) {
  const Value& wanted = call.require("value");
  call.done();
  int64_t count = 0;
  for (const Value& item : call.self.list()->items) {
    if (equals(call.context, item, wanted)) ++count;
  }
  return Value(count);
}

Value list_index(Call& call) {
  const Value& wanted = call.require("value");
  call.done();
  const std::vector<Value>& items = call.self.list()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (equals(call.context, items[i], wanted)) return Value(static_cast<int64_t>(i));
  }
  call.context.fail("index: the value is not in the list");
}

Value loop_cycle(Call& call) {
  if (call.arguments.empty()) call.context.fail("loop.cycle: there is nothing to cycle through");
  call.next_argument = call.arguments.size();
  call.done();
  return call.arguments[call.self.loop()->index % call.arguments.size()];
}

Value loop_changed(Call& call) {
  call.next_argument = call.arguments.size();
  call.done();
  std::vector<Value>& before = *call.self.loop()->changed;
  bool changed = before.size() != call.arguments.size() || before.empty();
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    const Value& now = call.arguments[i];
    if (now.string() == nullptr && !now.is_number() && !now.is_none() && !now.is_undefined()) {
      call.context.unsupported("loop.changed of a '{}' is not supported", now.type_name());
    }
    changed = changed || !equals(call.context, before[i], now);
  }
  before.assign(call.arguments.begin(), call.arguments.end());
  return Value(changed);
}

Value bind(std::string_view name, Native native, const Value& self) {
  auto function = std::make_shared<Function>();
  function->name = std::string(name);
  function->native = native;
  function->self = self;
  return Value(std::shared_ptr<const Function>(std::move(function)));
}

}  // namespace

bool is_listed(std::string_view name, std::string_view names) {
  while (!names.empty()) {
    const size_t end = std::min(names.find(' '), names.size());
    if (names.substr(0, end) == name) return true;
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return false;
}

Native find_map_method(Context& context, std::string_view name) {
  if (name == "get") return map_get;
  if (name == "items") return map_view<List::Flavor::kItems>;
  if (name == "keys") return map_view<List::Flavor::kKeys>;
  if (name == "values") return map_view<List::Flavor::kValues>;
  if (name == "copy") return same;
  if (is_listed(name, kChangingMap)) {
    context.fail("a template may not change a mapping by '{}'", name);
  }
  return nullptr;
}

Native find_list_method(Context& context, std::string_view name) {
  if (name == "count") return list_count;
  if (name == "index") return list_index;
  if (name == "copy") return same;
  if (is_listed(name, kChangingList)) {
    context.fail("a template may not change a list by '{}'; write 'list + [item]'", name);
  }
  return nullptr;
}

Value loop_attribute(const Value& value, std::string_view name) {
  const Loop& loop = *value.loop();
  const auto index = static_cast<int64_t>(loop.index);
  const int64_t length = std::ssize(*loop.items);
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(length - index);
  if (name == "revindex0") return Value(length - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index == length - 1);
  if (name == "length") return Value(length);
  // Only recursive loops, which are refused, are ever deeper.
  if (name == "depth") return Value(int64_t{1});
  if (name == "depth0") return Value(int64_t{0});
  if (name == "previtem") {
    return index == 0 ? Value::undefined("there is no previous item")
                      : (*loop.items)[loop.index - 1];
  }
  if (name == "nextitem") {
    return index == length - 1 ? Value::undefined("there is no next item")
                               : (*loop.items)[loop.index + 1];
  }
  if (name == "cycle") return bind("loop.cycle", loop_cycle, value);
  if (name == "changed") return bind("loop.changed", loop_changed, value);
  return {};
}

Value find_method(Context& context, const Value& value, std::string_view name) {
  if (value.loop() != nullptr) return loop_attribute(value, name);
  if (const Namespace* space = value.name_space()) {
    const auto found = space->attributes.find(std::string(name));
    return found == space->attributes.end() ? Value() : found->second;
  }
  Native native = nullptr;
  if (value.string() != nullptr) {
    native = find_text_method(context, name);
  } else if (value.map() != nullptr) {
    native = find_map_method(context, name);
  } else if (value.list() != nullptr && value.list()->is_sequence()) {
    native = find_list_method(context, name);
  }
  return native == nullptr ? Value() : bind(name, native, value);
}

}  // namespace tercet::jinja
