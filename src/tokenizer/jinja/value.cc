// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tokenizer/jinja/call.h"

namespace tercet::jinja {
namespace {

const char* flavor_name(List::Flavor flavor) {
  switch (flavor) {
    case List::Flavor::kList:
      return "list";
    case List::Flavor::kTuple:
      return "tuple";
    case List::Flavor::kRange:
      return "range";
    case List::Flavor::kKeys:
      return "dict_keys";
    case List::Flavor::kValues:
      return "dict_values";
    case List::Flavor::kItems:
      return "dict_items";
    case List::Flavor::kIterator:
      return "generator";
  }
  return "list";
}

// Equal for keys that Python holds to be equal: 1, 1.0 and True are one key. Empty when `key` can
// be none.
std::string hash_key(const Value& key) {
  if (const Text* text = key.string()) return "s" + text->bytes();
  if (key.is_none()) return "n";
  if (const auto integer = key.integer()) return fmt::format("i{}", *integer);
  if (const auto real = key.number()) {
    constexpr double kExact = 9007199254740992.0;
    if (std::floor(*real) == *real && std::abs(*real) <= kExact) {
      return fmt::format("i{}", static_cast<int64_t>(*real));
    }
    return fmt::format("r{}", *real);
  }
  return "";
}

}  // namespace

Value Value::undefined(std::string reason) {
  return Value(Undefined{std::make_shared<const std::string>(std::move(reason))});
}

std::optional<int64_t> Value::integer() const {
  if (is_boolean()) return boolean() ? 1 : 0;
  if (is_integer()) return std::get<int64_t>(storage_);
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (is_real()) return std::get<double>(storage_);
  if (const auto whole = integer()) return static_cast<double>(*whole);
  return std::nullopt;
}

const std::string& Value::undefined_reason() const {
  static const std::string kUnknown = "a value is undefined";
  const auto* undefined = std::get_if<Undefined>(&storage_);
  return undefined != nullptr && undefined->reason ? *undefined->reason : kUnknown;
}

bool Value::truthy() const {
  if (is_undefined() || is_none()) return false;
  if (const auto number_value = number()) return *number_value != 0.0;
  if (const Text* text = string()) return !text->empty();
  if (const List* row = list()) {
    return row->flavor == List::Flavor::kIterator || !row->items.empty();
  }
  if (const Map* entries = map()) return !entries->entries().empty();
  return true;
}

const char* Value::type_name() const {
  if (is_undefined()) return "undefined";
  if (is_none()) return "None";
  if (is_boolean()) return "bool";
  if (is_integer()) return "int";
  if (is_real()) return "float";
  if (string() != nullptr) return "str";
  if (const List* row = list()) return flavor_name(row->flavor);
  if (map() != nullptr) return "dict";
  if (name_space() != nullptr) return "namespace";
  return loop() != nullptr ? "loop" : "function";
}

int Value::nesting() const {
  if (const List* row = list()) return row->nesting;
  if (const Map* entries = map()) return entries->nesting();
  if (const Loop* state = loop()) return state->nesting;
  if (const Function* called = function()) return 1 + called->self.nesting();
  return 0;
}

std::span<const Value> List::iterate() const {
  if (flavor != Flavor::kIterator) return items;
  if (used_up) return {};
  used_up = true;
  return items;
}

bool Map::set(const Value& key, Value value) {
  std::string hashed = hash_key(key);
  if (hashed.empty()) return false;
  nesting_ = std::max(nesting_, 1 + value.nesting());
  const auto [position, inserted] = index_.try_emplace(std::move(hashed), entries_.size());
  if (inserted) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[position->second].second = std::move(value);
  }
  return true;
}

const Value* Map::find(const Value& key) const {
  const std::string hashed = hash_key(key);
  const auto found = index_.find(hashed);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Map::find(std::string_view key) const {
  const auto found = index_.find("s" + std::string(key));
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

}  // namespace tercet::jinja
