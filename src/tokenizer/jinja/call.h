// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/context.h"

namespace tercet::jinja {

using Keywords = std::vector<std::pair<std::string, Value>>;

// One call of a filter, test, method or function, as the called one sees it: it takes its
// parameters in the order of their declaration and then calls done().
struct Call {
  Context& context;
  std::string_view name;  // for errors
  Value self;             // what a filter, test or method works on
  std::span<const Value> arguments = {};
  std::span<const std::pair<std::string, Value>> keywords = {};

  // The argument for the next parameter, by place or by name; nullptr when not given.
  const Value* take(std::string_view parameter);
  // take() of one that must be given.
  const Value& require(std::string_view parameter);
  // Of a given type; the fallback when not given or None.
  bool take_boolean(std::string_view parameter, bool fallback);
  int64_t take_integer(std::string_view parameter, int64_t fallback);
  const Text* take_string(std::string_view parameter);
  // Throws kBadInput when there are arguments that no parameter took.
  void done() const;

  // `self` as a string: method calls have one, filters print what they are given.
  Text self_text();

  size_t next_argument = 0;
  size_t used_keywords = 0;
};

struct Scope;

// Something that can be called: a built-in, a method bound to its value, or a macro.
struct Function {
  std::string name;
  Native native = nullptr;
  Value self;
  const Statement* macro = nullptr;  // a kMacro, or a kCall for the block behind `caller`
  std::shared_ptr<Scope> scope;      // what the macro's body sees
};

}  // namespace tercet::jinja
