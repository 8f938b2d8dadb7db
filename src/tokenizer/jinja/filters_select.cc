// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/filters.h"

namespace tercet::jinja {
namespace {

const std::string& take_name(Call& call, const char* what) {
  const Text* name = call.take_string(what);
  if (name == nullptr) call.context.fail("{}: the name of a {} is missing", call.name, what);
  return name->bytes();
}

// Takes the rest of the arguments for another filter or test.
struct Rest {
  std::span<const Value> arguments;
  std::span<const std::pair<std::string, Value>> keywords;
};
Rest take_rest(Call& call) {
  const Rest rest{call.arguments.subspan(call.next_argument), call.keywords};
  call.next_argument = call.arguments.size();
  call.used_keywords = call.keywords.size();
  return rest;
}

// select, reject and, with an attribute first, selectattr and rejectattr.
Value select(Call& call, bool by_attribute, bool wanted) {
  Context& context = call.context;
  const Value path = by_attribute ? call.require("attribute") : Value();
  std::string name;
  Native test = nullptr;
  if (call.next_argument < call.arguments.size()) {
    name = take_name(call, "test");
    test = find_test(name);
    if (test == nullptr) context.unsupported("the test '{}' is not known", name);
  }
  const Rest rest = take_rest(call);
  std::vector<Value> out;
  for (const Value& item : items_of(context, call.self)) {
    const Value subject = by_attribute ? get_path(context, item, path) : item;
    context.step();
    Call inner{context, name, subject, rest.arguments, rest.keywords};
    const bool holds = test == nullptr ? subject.truthy() : test(inner).truthy();
    if (holds == wanted) out.push_back(item);
  }
  return context.list(std::move(out), List::Flavor::kIterator);
}

}  // namespace

Value filter_map(Call& call) {
  Context& context = call.context;
  std::vector<Value> out;
  if (call.arguments.empty()) {
    const Value path = call.require("attribute");
    const Value* fallback = call.take("default");
    call.done();
    for (const Value& item : items_of(context, call.self)) {
      Value value = get_path(context, item, path);
      out.push_back(value.is_undefined() && fallback != nullptr ? *fallback : std::move(value));
    }
  } else {
    const std::string name = take_name(call, "filter");
    const Native filter = find_filter(name);
    if (filter == nullptr) context.unsupported("the filter '{}' is not known", name);
    const Rest rest = take_rest(call);
    for (const Value& item : items_of(context, call.self)) {
      context.step();
      const Context::Level level(context);
      Call inner{context, name, item, rest.arguments, rest.keywords};
      out.push_back(filter(inner));
    }
  }
  return context.list(std::move(out), List::Flavor::kIterator);
}

Value filter_select(Call& call) { return select(call, false, true); }
Value filter_reject(Call& call) { return select(call, false, false); }
Value filter_selectattr(Call& call) { return select(call, true, true); }
Value filter_rejectattr(Call& call) { return select(call, true, false); }

}  // namespace tercet::jinja
