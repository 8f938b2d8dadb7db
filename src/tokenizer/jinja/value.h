// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "tokenizer/jinja/text.h"

namespace tercet::jinja {

struct List;
class Map;
struct Namespace;
struct Loop;
struct Function;

// What is not there. `reason` is told when it is used for more than testing and printing.
struct Undefined {
  std::shared_ptr<const std::string> reason;
};
struct None {};

// Whether a variant holds a T as T.
template <typename T, typename Variant>
inline constexpr bool is_alternative = false;
template <typename T, typename... Ts>
inline constexpr bool is_alternative<T, std::variant<Ts...>> = (std::is_same_v<T, Ts> || ...);

// A value of the template language, with Python's meaning. Cheap to copy; everything but Namespace
// and the state of a Loop is immutable.
class Value {
 public:
  using Storage = std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const Text>,
                               std::shared_ptr<const List>, std::shared_ptr<const Map>,
                               std::shared_ptr<Namespace>, std::shared_ptr<const Loop>,
                               std::shared_ptr<const Function>>;

  Value() = default;  // undefined
  template <typename T>
  requires is_alternative<T, Storage>
  explicit Value(T value) : storage_(std::in_place_type<T>, std::move(value)) {}
  explicit Value(std::string text, Origin origin = Origin::kTemplate)
      : Value(std::make_shared<const Text>(std::move(text), origin)) {}
  explicit Value(Text text) : Value(std::make_shared<const Text>(std::move(text))) {}
  static Value none() { return Value(None{}); }
  // `reason` e.g. "'foo' is undefined".
  static Value undefined(std::string reason);

  bool is_undefined() const { return holds<Undefined>(); }
  bool is_none() const { return holds<None>(); }
  bool is_boolean() const { return holds<bool>(); }
  bool is_integer() const { return holds<int64_t>(); }
  bool is_real() const { return holds<double>(); }
  bool is_number() const { return is_boolean() || is_integer() || is_real(); }

  // Nothing, or nullptr, when it is something else.
  const Text* string() const { return pointer<const Text>(); }
  const List* list() const { return pointer<const List>(); }
  const Map* map() const { return pointer<const Map>(); }
  Namespace* name_space() const { return pointer<Namespace>(); }
  const Loop* loop() const { return pointer<const Loop>(); }
  const Function* function() const { return pointer<const Function>(); }
  std::optional<int64_t> integer() const;  // booleans count as 0 and 1
  std::optional<double> number() const;    // integers and booleans too
  bool boolean() const { return std::get<bool>(storage_); }
  const std::string& undefined_reason() const;

  // Python's truth of a value: empty strings and collections, 0, none and undefined are false.
  bool truthy() const;
  // As Python names the type: "str", "int", "dict", ...
  const char* type_name() const;
  // How deep values hold each other: lists, mappings, loops and methods bound to them; 0 for
  // everything else. Bounded, since destroying a value takes stack for every level.
  int nesting() const;

 private:
  template <typename T>
  bool holds() const {
    return std::holds_alternative<T>(storage_);
  }
  template <typename T>
  T* pointer() const {
    const auto* found = std::get_if<std::shared_ptr<T>>(&storage_);
    return found == nullptr ? nullptr : found->get();
  }
  Storage storage_;
};

// Anything that is a row of values in Python.
struct List {
  enum class Flavor : uint8_t {
    kList,
    kTuple,
    kRange,
    kKeys,      // of a dict
    kValues,    // of a dict
    kItems,     // of a dict
    kIterator,  // what lazy filters give: read once, always true, without length
  };
  std::vector<Value> items;
  Flavor flavor = Flavor::kList;
  int nesting = 1;
  mutable bool used_up = false;  // of iterators

  // Lists, tuples and ranges: what has an index and a length.
  bool is_sequence() const { return flavor <= Flavor::kRange; }
  // The items to go through; those of an iterator once.
  std::span<const Value> iterate() const;
};

// A dict: keeps the order of insertion.
class Map {
 public:
  using Entry = std::pair<Value, Value>;
  // Replaces the value of a key that is there. False when `key` cannot be one (a list, a dict...).
  bool set(const Value& key, Value value);
  void set(std::string_view key, Value value) { set(Value(std::string(key)), std::move(value)); }
  // nullptr when absent.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  const std::vector<Entry>& entries() const { return entries_; }
  int nesting() const { return nesting_; }

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;
  int nesting_ = 1;
};

// The one value that a template may change: namespace() objects.
struct Namespace {
  std::unordered_map<std::string, Value> attributes;
};

// The `loop` variable of a for.
struct Loop {
  std::shared_ptr<const std::vector<Value>> items;
  size_t index = 0;
  int nesting = 1;
  // What loop.changed() was given last in this run of the loop: strings and numbers only, so that a
  // loop cannot come to hold itself.
  std::shared_ptr<std::vector<Value>> changed;
};

}  // namespace tercet::jinja
