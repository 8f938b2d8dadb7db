// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/call.h"

#include <algorithm>

#include "tokenizer/jinja/print.h"

namespace tercet::jinja {

const Value* Call::take(std::string_view parameter) {
  const auto named = std::find_if(keywords.begin(), keywords.end(),
                                  [&](const auto& entry) { return entry.first == parameter; });
  if (next_argument < arguments.size()) {
    if (named != keywords.end()) context.fail("{}: '{}' is given twice", name, parameter);
    return &arguments[next_argument++];
  }
  if (named == keywords.end()) return nullptr;
  ++used_keywords;
  return &named->second;
}

const Value& Call::require(std::string_view parameter) {
  const Value* value = take(parameter);
  if (value == nullptr) context.fail("{}: the argument '{}' is missing", name, parameter);
  return *value;
}

bool Call::take_boolean(std::string_view parameter, bool fallback) {
  const Value* value = take(parameter);
  return value == nullptr ? fallback : value->truthy();
}

int64_t Call::take_integer(std::string_view parameter, int64_t fallback) {
  const Value* value = take(parameter);
  if (value == nullptr || value->is_none()) return fallback;
  context.require_defined(*value);
  if (!value->integer()) {
    context.fail("{}: '{}' must be an integer, not '{}'", name, parameter, value->type_name());
  }
  return *value->integer();
}

const Text* Call::take_string(std::string_view parameter) {
  const Value* value = take(parameter);
  if (value == nullptr || value->is_none()) return nullptr;
  context.require_defined(*value);
  if (value->string() == nullptr) {
    context.fail("{}: '{}' must be a string, not '{}'", name, parameter, value->type_name());
  }
  return value->string();
}

void Call::done() const {
  if (next_argument < arguments.size()) {
    context.fail("{}: {} arguments are given, {} are expected", name, arguments.size(),
                 next_argument);
  }
  if (used_keywords < keywords.size()) {
    context.fail("{}: the argument '{}' is not known or given twice", name, keywords.back().first);
  }
}

Text Call::self_text() {
  if (const Text* text = self.string()) {
    context.read(text->size());
    return *text;
  }
  return to_text(context, self);
}

}  // namespace tercet::jinja
